import { describe, expect, it } from 'vitest'

import { Heights, rangeFor } from './windowRows'

const name = (index: number) => `row ${index}`

describe('heights of rows', () => {
	it('are the common one where nothing else is known', () => {
		const heights = new Heights(1000, 50, name, new Map())
		expect(heights.total).toBe(50_000)
		expect(heights.top(10)).toBe(500)
		expect([heights.at(-1), heights.at(0), heights.at(499), heights.at(500), heights.at(1e9)]).toEqual([0, 0, 9, 10, 999])
	})

	it('count where they are known', () => {
		const heights = new Heights(100, 50, name, new Map([['row 1', 80], ['row 99', 10]]))
		expect(heights.total).toBe(100 * 50 + 30 - 40)
		expect([heights.top(1), heights.top(2), heights.top(3)]).toEqual([50, 130, 180])
		expect([heights.at(0), heights.at(49), heights.at(50), heights.at(129), heights.at(130), heights.at(1e9)]).toEqual([0, 0, 1, 1, 2, 99])
	})

	it('lead to the row that they are of', () => {
		const known = new Map(Array.from({ length: 50 }, (_, n) => [name(n * 3), 10 + n] as const))
		const heights = new Heights(200, 40, name, known)
		for (let index = 0; index < 200; index++) {
			expect(heights.at(heights.top(index))).toBe(index)
			expect(heights.at(heights.top(index + 1) - 0.5)).toBe(index)
		}
	})
})

describe('the rows to draw', () => {
	const heights = new Heights(1000, 50, name, new Map())

	it('stay the same while they cover what is in view', () => {
		const now = { first: 100, end: 125 }
		expect(rangeFor(heights, 101 * 50, 120 * 50, now)).toBe(now)
	})

	it('cover what is in view after any scrolling, and little more', () => {
		let now = { first: 0, end: 10 }
		for (const top of [0, 30, 400, 900, 40_000, 39_900, 49_500, 100, 60_000]) {
			now = rangeFor(heights, top, top + 600, now)
			expect(now.first * 50).toBeLessThanOrEqual(Math.min(top, 999 * 50))
			expect(now.end * 50).toBeGreaterThanOrEqual(Math.min(top + 600, 50_000))
			expect(now.end - now.first).toBeLessThanOrEqual(13 + 3 * 4)
			expect(now.first).toBeGreaterThanOrEqual(0)
			expect(now.end).toBeLessThanOrEqual(1000)
		}
	})

	it('are few after a leap', () => {
		expect(rangeFor(heights, 20_000, 20_600, { first: 0, end: 20 })).toEqual({ first: 399, end: 414 })
	})
})
