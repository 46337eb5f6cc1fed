// Telling about outcomes: messages of failure and success, and asking before what cannot be undone.

import { lazy, type ComponentType, type ReactNode } from 'react'

import { openDialog } from '@shared/components/dialogs'
import { ErrorCode, RpcError } from '@shared/rpc'
import { showToast } from '@shared/toasts'

import type { Messages } from '../i18n'

/** What to say about a failure. */
export function errorText(m: Messages, error: unknown): string {
	if (!(error instanceof RpcError)) return error instanceof Error ? error.message : String(error)
	if (error.code === ErrorCode.network) return m.connection.networkError
	if (error.code === ErrorCode.methodNotFound) return m.common.later
	return error.details && error.details !== error.message ? `${error.message}\n\n${error.details}` : error.message
}

/** Runs an edit; says so when it fails. Returns whether it was made. */
export async function attempt(m: Messages, action: () => Promise<unknown>, options: { rolledBack?: boolean; done?: string } = {}): Promise<boolean> {
	try {
		await action()
		if (options.done) showToast({ kind: 'success', title: options.done })
		return true
	} catch (error) {
		if (error instanceof RpcError && error.code === ErrorCode.unauthorized) return false
		const text = errorText(m, error)
		showToast({ kind: 'error', title: m.common.error, text: options.rolledBack ? `${text}\n\n${m.connection.rolledBack}` : text })
		return false
	}
}

export interface Question {
	title?: string
	text: ReactNode
	confirm: string
	/** Done after the answer yes; the dialog closes at once, failures are told in a message. */
	action: () => Promise<unknown>
	done?: string
	harmless?: boolean
}

const load = () => import('./Confirm')
const LazyConfirm = lazy(load)
/** Once it is there, without lazy(), which shows nothing for a moment. */
let Confirm: ComponentType<{ question: Question; close: () => void }> = LazyConfirm

/** Has questions ready to be asked. */
export async function preloadQuestions(): Promise<void> {
	Confirm = (await load()).default
}

export function ask(m: Messages, question: Question): void {
	openDialog({ title: m.common.sure, body: (close) => <Confirm question={question} close={close} /> })
}
