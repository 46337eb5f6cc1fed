import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { DocumentStore } from './document'
import { PatchError } from './patch'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function documentOf(value: object): DocumentStore {
	const document = new DocumentStore()
	document.replace(10, value as never)
	return document
}

describe('the document', () => {
	it('shows revisions, those that come together at once', () => {
		const document = documentOf({ a: 1 })
		let shown = 0
		document.view.subscribe(() => shown++)
		document.revise(11, [{ op: 'add', path: '/b', value: 2 }])
		document.revise(14, [{ op: 'replace', path: '/a', value: 3 }])
		vi.runAllTimers()
		expect(document.view.get()).toEqual({ a: 3, b: 2 })
		expect(document.revision).toBe(14)
		expect(shown).toBe(1)
	})

	it('ignores a revision that it already has', () => {
		const document = documentOf({ a: 1 })
		document.revise(10, [{ op: 'replace', path: '/a', value: 0 }])
		vi.runAllTimers()
		expect(document.view.get()).toEqual({ a: 1 })
	})

	it('says when a revision does not fit, and stays as it is', () => {
		const document = documentOf({ a: 1 })
		expect(() => document.revise(11, [{ op: 'add', path: '/x/y', value: 0 }])).toThrow(PatchError)
		expect(document.view.get()).toEqual({ a: 1 })
		expect(document.revision).toBe(10)
	})

	it('shows an edit before the answer and keeps it until the revision came', async () => {
		const document = documentOf({ a: 1 })
		let answer: () => void = () => {}
		const done = document.optimistic([{ op: 'replace', path: '/a', value: 2 }], () => new Promise<void>((resolve) => (answer = resolve)))
		expect(document.view.get()).toEqual({ a: 2 })
		answer()
		await done
		expect(document.view.get()).toEqual({ a: 2 })
		document.revise(11, [{ op: 'replace', path: '/a', value: 2 }])
		vi.advanceTimersByTime(20)
		document.revise(12, [{ op: 'replace', path: '/a', value: 3 }])
		vi.advanceTimersByTime(20)
		expect(document.view.get()).toEqual({ a: 3 })
	})

	it('takes a refused edit back, and keeps the others', async () => {
		const document = documentOf({ a: 1, b: 1 })
		let refuse: (why: Error) => void = () => {}
		const refused = document.optimistic([{ op: 'replace', path: '/a', value: 2 }], () => new Promise((_, reject) => (refuse = reject)))
		void document.optimistic([{ op: 'replace', path: '/b', value: 2 }], () => new Promise(() => {}))
		expect(document.view.get()).toEqual({ a: 2, b: 2 })
		refuse(new Error('no'))
		await expect(refused).rejects.toThrow('no')
		expect(document.view.get()).toEqual({ a: 1, b: 2 })
	})

	it('lets an accepted edit go that the stream never brings', async () => {
		const document = documentOf({ a: 1 })
		await document.optimistic([{ op: 'replace', path: '/a', value: 2 }], async () => null)
		vi.runAllTimers()
		expect(document.view.get()).toEqual({ a: 1 })
	})
})
