// A name that can be changed where it stands: a click or Enter opens it, Enter saves, Escape leaves.

import { useRef, useState, type ReactNode } from 'react'

import { TextBox } from '@shared/components/controls'

import { useI18n } from '../i18n'
import { checkRequired } from '../validate'
import { useFaultText } from './faults'
import { attempt } from './feedback'
import styles from '../styles/parts.module.css'

export function InlineEdit({ value, label, save, children }: {
	value: string
	/** What the edit button is called: "Rename Phone". */
	label: string
	save: (value: string) => Promise<unknown>
	/** What is shown while it is not edited. */
	children: ReactNode
}) {
	const { m } = useI18n()
	const faultText = useFaultText()
	const [draft, setDraft] = useState<string | null>(null)
	const button = useRef<HTMLButtonElement>(null)
	const leave = () => {
		setDraft(null)
		setTimeout(() => button.current?.focus(), 0)
	}
	const finish = (text: string) => {
		const next = text.trim()
		if (checkRequired(next)) return
		leave()
		if (next !== value) void attempt(m, () => save(next), { rolledBack: true })
	}
	if (draft !== null) {
		const fault = faultText(checkRequired(draft))
		return (
			<TextBox
				small
				aria-label={label}
				title={m.common.saveHint}
				value={draft}
				aria-invalid={fault !== null || undefined}
				autoFocus
				onFocus={(event) => event.currentTarget.select()}
				onChange={(event) => setDraft(event.currentTarget.value)}
				onKeyDown={(event) => {
					if (event.key === 'Enter') finish(draft)
					if (event.key === 'Escape') leave()
				}}
				onBlur={() => (checkRequired(draft) || draft.trim() === value ? setDraft(null) : finish(draft))}
			/>
		)
	}
	return (
		<span className={styles.inline}>
			<span className={styles.inlineText}>{children}</span>
			<button ref={button} type="button" className={styles.inlineButton} aria-label={label} title={label} onClick={() => setDraft(value)} />
		</span>
	)
}
