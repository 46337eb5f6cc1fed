// Copying to the clipboard, and saving a text as a file.

import { ActionIcon, Button } from '@mantine/core'
import { useEffect, useState } from 'react'

import { IconCheck, IconCopy } from '../icons'

export async function copyText(text: string): Promise<boolean> {
	try {
		await navigator.clipboard.writeText(text)
		return true
	} catch {
		// The clipboard is for secure pages only; the old way works on any.
		const field = document.createElement('textarea')
		field.value = text
		;(document.activeElement?.closest('[role="dialog"]') ?? document.body).append(field)
		field.select()
		const done = document.execCommand('copy')
		field.remove()
		return done
	}
}

export function saveFile(name: string, text: string, type = 'text/plain'): void {
	const link = document.createElement('a')
	link.href = URL.createObjectURL(new Blob([text], { type }))
	link.download = name
	link.click()
	setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

function useCopied(): [boolean, (text: string) => void] {
	const [copied, setCopied] = useState(false)
	useEffect(() => {
		if (!copied) return
		const timer = setTimeout(() => setCopied(false), 2000)
		return () => clearTimeout(timer)
	}, [copied])
	return [copied, (text) => void copyText(text).then(setCopied)]
}

export function CopyButton({ text, label, copiedLabel, disabled }: { text: string; label: string; copiedLabel: string; disabled?: boolean }) {
	const [copied, copy] = useCopied()
	return (
		<Button variant="default" disabled={disabled} leftSection={copied ? <IconCheck size={18} /> : <IconCopy size={18} />} onClick={() => copy(text)}>
			<span aria-live="polite">{copied ? copiedLabel : label}</span>
		</Button>
	)
}

export function CopyIcon({ text, label, copiedLabel }: { text: string; label: string; copiedLabel: string }) {
	const [copied, copy] = useCopied()
	return (
		<ActionIcon variant="subtle" color="gray" aria-label={copied ? copiedLabel : label} title={label} onClick={() => copy(text)}>
			{copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
		</ActionIcon>
	)
}
