// Calls of the daemon's methods: POST /rpc/v1 with {method, params}.

import type { Json } from './patch'

/** Errors of the daemon have its code; these are ours. */
export const ErrorCode = {
	network: 0,
	incorrectPassword: 7,
	unauthorized: 34,
	rateLimited: 37,
	invalidRequest: 38,
	methodNotFound: -32601,
	invalidParams: -32602,
} as const

export class RpcError extends Error {
	constructor(
		readonly code: number,
		message: string,
		/** What went wrong, for people; may be empty. */
		readonly details: string,
	) {
		super(message)
	}
}

/** The methods of a daemon: what each takes and gives. */
type MethodsOf<M> = { [K in keyof M]: { params: object; result: Json } }

/** Parameters, which may be left out where none is required. */
type ParamsOf<P> = object extends P ? [params?: P] : [params: P]

interface Answer {
	result?: Json
	error?: { code: number; message: string; data?: Json }
	id?: Json
}

function errorOf(answer: Answer): RpcError {
	const { code, message, data } = answer.error!
	const details =
		typeof data === 'string' ? data
		: typeof data === 'object' && data !== null && 'details' in data && typeof data.details === 'string' ? data.details
		: ''
	return new RpcError(code, message, details)
}

const TIMEOUT_MS = 60_000

export class RpcClient<M extends MethodsOf<M>> {
	/** Called when the daemon no longer knows the session. */
	onUnauthorized: () => void = () => {}
	private early: { method: string; answer: Promise<unknown> } | null = null

	constructor(private readonly url = '/rpc/v1') {}

	private async post(body: unknown): Promise<unknown> {
		try {
			const response = await fetch(this.url, {
				method: 'POST',
				headers: { 'content-type': 'application/json' },
				body: JSON.stringify(body),
				credentials: 'same-origin',
				cache: 'no-store',
				signal: AbortSignal.timeout(TIMEOUT_MS),
			})
			if (!response.ok) throw new Error(`HTTP ${response.status}`)
			return await response.json()
		} catch (error) {
			throw new RpcError(ErrorCode.network, 'Network', error instanceof Error ? error.message : String(error))
		}
	}

	/** Asks ahead of time: the next call of the method without parameters has this one's answer. */
	ahead(method: keyof M & string): void {
		const answer = this.post({ method, params: {} })
		answer.catch(() => {}) // told to whom the answer is for
		this.early = { method, answer }
	}

	private takeEarly(method: string, params: object): Promise<unknown> | null {
		const early = this.early
		if (early?.method !== method || Object.keys(params).length > 0) return null
		this.early = null
		return early.answer
	}

	/** The result of a method, or RpcError. */
	async call<K extends keyof M & string>(method: K, ...[params = {}]: ParamsOf<M[K]['params']>): Promise<M[K]['result']> {
		const answer = (await (this.takeEarly(method, params) ?? this.post({ method, params }))) as Answer
		if (!answer.error) return (answer.result ?? null) as M[K]['result']
		const error = errorOf(answer)
		// A refused password is an answer of the method itself, not the end of a session.
		if (error.code === ErrorCode.unauthorized && method !== 'auth.login') this.onUnauthorized()
		throw error
	}

	/**
	 * Which of the methods the daemon has. Asks with parameters that fit none of them: a method that
	 * exists refuses them, and one that does not is not found.
	 */
	async has(methods: readonly (keyof M & string)[]): Promise<Set<string>> {
		const batch = methods.map((method, id) => ({ id, method, params: { probe: null } }))
		const answers = (await this.post(batch)) as Answer[]
		return new Set(methods.filter((_, i) => answers[i] !== undefined && answers[i].error?.code !== ErrorCode.methodNotFound))
	}
}
