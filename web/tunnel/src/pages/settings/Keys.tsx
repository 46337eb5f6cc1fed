// The keys by which the command line on another machine gets in.

import { Button, Skeleton, Textarea, TextInput } from '@mantine/core'

import { openDialog } from '@shared/components/dialogs'
import { IconKey } from '@shared/icons'
import { fill } from '@shared/text'

import { rpc } from '../../app'
import { useI18n } from '../../i18n'
import { ask, attempt, errorText } from '../../parts/feedback'
import { DialogForm, useField } from '../../parts/form'
import { AddButton, Card } from '../../parts/Page'
import { useCall } from '../../parts/useCall'
import { checkKey, checkRequired } from '../../validate'
import styles from '../../styles/parts.module.css'

type KeyList = Record<string, { name: string }>

function AddKey({ added, close }: { added: () => Promise<void>; close: () => void }) {
	const { m } = useI18n()
	const key = useField('', checkKey)
	const name = useField('', checkRequired)
	// The comment of an SSH key most often says whose it is.
	const setKey: typeof key.props.onChange = (event) => {
		const comment = /^ssh-ed25519 \S+ (.+)$/.exec(event.currentTarget.value.trim())?.[1]
		if (comment && name.value === '') name.set(comment)
		key.set(event.currentTarget.value)
	}
	const save = async () => {
		await rpc.call('auth.key.add', { name: name.value.trim(), key: key.value.trim() + (key.value.includes('BEGIN') ? '\n' : '') })
		await added()
	}
	return (
		<DialogForm fields={[key, name]} save={save} close={close}>
			<Textarea
				label={m.settings.key} description={m.settings.keyHint} required rows={4} spellCheck={false} data-autofocus
				classNames={{ input: styles.mono }} {...key.props} onChange={setKey}
			/>
			<TextInput label={m.settings.keyName} required {...name.props} />
		</DialogForm>
	)
}

export function Keys() {
	const { m } = useI18n()
	const { value, error, reload } = useCall<KeyList>('auth.key.list')
	const all = Object.entries(value ?? {}).sort(([, a], [, b]) => a.name.localeCompare(b.name))
	const remove = (key: string, name: string) =>
		ask(m, {
			title: fill(m.settings.removeKey, { name }),
			text: m.settings.removeKeyText,
			confirm: m.settings.remove,
			action: async () => {
				if (await attempt(m, () => rpc.call('auth.key.remove', { key }), { done: m.settings.keyRemoved })) await reload()
			},
		})
	return (
		<Card
			title={m.settings.keys} intro={m.settings.keysIntro} count={all.length}
			action={<AddButton label={m.settings.addKey} onClick={() => openDialog({ title: m.settings.addKey, body: (close) => <AddKey added={reload} close={close} /> })} />}
		>
			<div className={styles.cardBody}>
				{value === null ? error ? <p className={styles.intro}>{errorText(m, error)}</p> : <Skeleton height={48} /> : all.length === 0 ? (
					<p className={styles.intro}>{fill(m.settings.noKeys, { host: location.host })}</p>
				) : (
					<ul className={styles.plain}>
						{all.map(([key, { name }]) => (
							<li key={key}>
								<span className={styles.nameLine}><IconKey size={18} /><strong>{name}</strong></span>
								<span className={`${styles.mono} ${styles.sub}`} title={key}>…{key.replace(/-----[^-]+-----|\s/g, '').slice(-12)}</span>
								<Button variant="default" size="xs" aria-label={fill(m.settings.removeKey, { name })} onClick={() => remove(key, name)}>{m.settings.remove}</Button>
							</li>
						))}
					</ul>
				)}
			</div>
		</Card>
	)
}
