// Forms of the dialogs: fields with their faults, and one save button.

import { Button, Group, Stack } from '@mantine/core'
import { useState, type FormEvent, type ReactNode } from 'react'

import { useI18n } from '../i18n'
import type { Fault } from '../validate'
import { useFaultText } from './faults'
import { attempt } from './feedback'

/**
 * A text field's value with its check. The fault shows once the field was left or saving was tried,
 * so that nobody is told off while typing.
 */
export function useField(initial: string, check: (text: string) => Fault) {
	const [value, setValue] = useState(initial)
	const [left, setLeft] = useState(false)
	const faultText = useFaultText()
	const fault = check(value)
	return {
		value,
		set: setValue,
		fault,
		touched: left,
		touch: () => setLeft(true),
		props: {
			value,
			error: left ? faultText(fault) : null,
			onChange: (event: { currentTarget: { value: string } }) => setValue(event.currentTarget.value),
			onBlur: () => value !== initial && setLeft(true),
		},
	}
}

export type Field = ReturnType<typeof useField>

/** The frame of a dialog's form. `save` returns whether it is done; `fields` hold it back while one has a fault. */
export function DialogForm({ fields, blocked, save, close, submitLabel, children }: {
	fields: readonly Field[]
	blocked?: boolean
	save: () => Promise<unknown>
	close: () => void
	submitLabel?: string
	children: ReactNode
}) {
	const { m } = useI18n()
	const [busy, setBusy] = useState(false)
	const submit = async (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault()
		event.stopPropagation()
		const form = event.currentTarget
		for (const field of fields) field.touch()
		if (fields.some((field) => field.fault) || blocked) {
			// After the faults are shown, the first of them has the focus.
			setTimeout(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus(), 0)
			return
		}
		setBusy(true)
		const done = await attempt(m, save)
		setBusy(false)
		if (done) close()
	}
	return (
		<form onSubmit={submit} noValidate>
			<Stack gap="md">
				{children}
				<Group justify="flex-end" mt="xs">
					<Button variant="default" onClick={close}>{m.common.cancel}</Button>
					<Button type="submit" loading={busy} disabled={blocked}>{submitLabel ?? m.common.save}</Button>
				</Group>
			</Stack>
		</form>
	)
}
