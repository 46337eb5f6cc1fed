// The question whether one is sure.

import { Button, Group, Stack } from '@mantine/core'
import { useState } from 'react'

import { useI18n } from '../i18n'
import { attempt, type Question } from './feedback'

export default function Confirm({ question, close }: { question: Question; close: () => void }) {
	const { m } = useI18n()
	const [busy, setBusy] = useState(false)
	const yes = async () => {
		setBusy(true)
		close()
		await attempt(m, question.action, { rolledBack: true, done: question.done })
	}
	return (
		<Stack gap="md">
			{question.title && <strong>{question.title}</strong>}
			<div>{question.text}</div>
			<Group justify="flex-end">
				<Button variant="default" onClick={close} data-autofocus>{m.common.cancel}</Button>
				<Button color={question.harmless ? undefined : 'red.8'} loading={busy} onClick={yes}>{question.confirm}</Button>
			</Group>
		</Stack>
	)
}
