import { describe, expect, it } from 'vitest'

import { applyFitting, applyPatch, get, parsePointer, pointer, PatchError, type Json, type Operation } from './patch'

describe('pointers', () => {
	it('escapes and unescapes slashes and tildes', () => {
		expect(pointer('wg', 'subnets', '10.59.0.1/24', 'a~b')).toBe('/wg/subnets/10.59.0.1~124/a~0b')
		expect(parsePointer('/10.59.0.1~124/a~0b/~01')).toEqual(['10.59.0.1/24', 'a~b', '~1'])
		expect(parsePointer('')).toEqual([])
		expect(parsePointer('/')).toEqual([''])
	})
	it('refuses what is no pointer', () => {
		expect(() => parsePointer('wg')).toThrow(PatchError)
		expect(() => parsePointer('/a~2')).toThrow(PatchError)
	})
	it('reads', () => {
		const document = { a: [{ b: 1 }], 'x/y': null }
		expect(get(document, '/a/0/b')).toBe(1)
		expect(get(document, '/x~1y')).toBe(null)
		expect(get(document, '/a/1')).toBe(undefined)
		expect(get(document, '/toString')).toBe(undefined)
	})
})

const cases: { name: string; before: Json; patch: Operation[]; after: Json }[] = [
	{ name: 'adds a member', before: { a: 1 }, patch: [{ op: 'add', path: '/b', value: 2 }], after: { a: 1, b: 2 } },
	{ name: 'adds over a member', before: { a: 1 }, patch: [{ op: 'add', path: '/a', value: 2 }], after: { a: 2 } },
	{ name: 'adds null', before: {}, patch: [{ op: 'add', path: '/a', value: null }], after: { a: null } },
	{ name: 'replaces an absent member by adding it', before: {}, patch: [{ op: 'replace', path: '/a', value: 2 }], after: { a: 2 } },
	{ name: 'replaces the whole', before: { a: 1 }, patch: [{ op: 'replace', path: '', value: [] }], after: [] },
	{ name: 'removes a member', before: { a: 1, b: 2 }, patch: [{ op: 'remove', path: '/a' }], after: { b: 2 } },
	{ name: 'removes an absent member without effect', before: { b: 2 }, patch: [{ op: 'remove', path: '/a' }], after: { b: 2 } },
	{ name: 'inserts into an array', before: [1, 3], patch: [{ op: 'add', path: '/1', value: 2 }], after: [1, 2, 3] },
	{ name: 'appends to an array', before: [1], patch: [{ op: 'add', path: '/-', value: 2 }], after: [1, 2] },
	{ name: 'replaces in an array', before: [1, 2], patch: [{ op: 'replace', path: '/1', value: 5 }], after: [1, 5] },
	{
		name: 'removes the tail with one index repeated',
		before: [1, 2, 3],
		patch: [{ op: 'remove', path: '/1' }, { op: 'remove', path: '/1' }],
		after: [1],
	},
	{
		name: 'reaches through an escaped member',
		before: { wg: { subnets: { '10.59.0.1/24': { name: 'a' } } } },
		patch: [{ op: 'replace', path: '/wg/subnets/10.59.0.1~124/name', value: 'b' }],
		after: { wg: { subnets: { '10.59.0.1/24': { name: 'b' } } } },
	},
]

describe('patches', () => {
	for (const { name, before, patch, after } of cases)
		it(name, () => {
			const frozen = deepFreeze(structuredClone(before) as Json)
			expect(applyPatch(frozen, patch)).toEqual(after)
		})

	it('shares what it did not touch', () => {
		const before = { a: { x: 1 }, b: { y: [1, { z: 2 }] } }
		const after = applyPatch(before, [{ op: 'add', path: '/a/x', value: 2 }]) as typeof before
		expect(after.b).toBe(before.b)
		expect(after.a).not.toBe(before.a)
		expect(before.a.x).toBe(1)
	})

	it('leaves a document alone whose patch does not fit', () => {
		const bad: Operation[][] = [
			[{ op: 'add', path: '/x/y', value: 1 }],
			[{ op: 'remove', path: '' }],
			[{ op: 'replace', path: '/list/7', value: 1 }],
			[{ op: 'remove', path: '/list/1' }],
			[{ op: 'add', path: '/list/01', value: 1 }],
			[{ op: 'add', path: '/n/x', value: 1 }],
			[{ op: 'move' as 'add', path: '/n' }],
		]
		for (const patch of bad) expect(() => applyPatch({ list: [1], n: 5 }, patch)).toThrow(PatchError)
	})

	it('takes __proto__ for a member', () => {
		const after = applyPatch({}, [{ op: 'add', path: '/__proto__', value: { evil: true } }])
		expect(Object.keys(after as object)).toEqual(['__proto__'])
		expect(({} as { evil?: boolean }).evil).toBe(undefined)
		expect((after as { evil?: boolean }).evil).toBe(undefined)
	})

	it('applies what fits, where that is asked for', () => {
		expect(applyFitting({ a: 1 }, [{ op: 'replace', path: '/gone/x', value: 1 }, { op: 'add', path: '/a', value: 2 }])).toEqual({ a: 2 })
	})
})

function deepFreeze(value: Json): Json {
	if (typeof value === 'object' && value !== null) for (const part of Object.values(Object.freeze(value))) deepFreeze(part as Json)
	return value
}
