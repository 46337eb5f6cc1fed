// Which rows of a long list the window shows. The list is in the window's own flow: the rows in view, and above
// and below them as much room as the others are taken to need. A row's height counts from when it was first
// drawn; until then, and on the first look, it is the common one. So what is in view never moves for what is not:
// browsers hold it in its place while the room above it changes.

import { useCallback, useLayoutEffect, useReducer, useRef, useState, type RefObject } from 'react'
import { flushSync } from 'react-dom'

/** Rows that are drawn beyond the window where one scrolls step by step; by a leap all rows are others. */
const BEYOND = 4
const BEYOND_LEAP = 1

/** Heights of the rows of one order, from the top. */
export class Heights {
	private readonly tops: Float64Array | null
	readonly total: number

	/** @param known heights that are not the common one, by the row's name. */
	constructor(readonly count: number, private readonly common: number, nameAt: (index: number) => string, known: ReadonlyMap<string, number>) {
		if (known.size === 0) {
			this.tops = null
			this.total = count * common
			return
		}
		this.tops = new Float64Array(count + 1)
		for (let index = 0; index < count; index++) this.tops[index + 1] = this.tops[index]! + (known.get(nameAt(index)) ?? common)
		this.total = this.tops[count]!
	}

	/** Where a row begins. */
	top(index: number): number {
		return this.tops ? this.tops[index]! : index * this.common
	}

	/** The row at a height; the first or last one beyond the ends. */
	at(px: number): number {
		if (!this.tops) return Math.min(Math.max(Math.floor(px / this.common), 0), this.count - 1)
		let low = 0
		let high = this.count - 1
		while (low < high) {
			const middle = (low + high + 1) >> 1
			if (this.tops[middle]! <= px) low = middle
			else high = middle - 1
		}
		return low
	}
}

export interface Range {
	first: number
	end: number
}

/** The rows to draw where those from `top` to `bottom` are in view; the same ones as long as they cover that. */
export function rangeFor(heights: Heights, top: number, bottom: number, now: Range): Range {
	const first = heights.at(top)
	const end = heights.at(bottom) + 1
	if (now.first <= first && now.end >= end && now.end - now.first <= end - first + 3 * BEYOND) return now
	const beyond = first < now.end && end > now.first ? BEYOND : BEYOND_LEAP
	return { first: Math.max(0, first - beyond), end: Math.min(heights.count, end + beyond) }
}

interface Shown extends Range {
	/** Room for the rows that are not drawn. */
	above: number
	below: number
	/** The ref of each row's element, which has the row's name in data-name. */
	seen: (element: HTMLElement | null) => (() => void) | undefined
}

/** What is known about the heights of a list's rows. */
interface Measured {
	/** Before the first row was drawn. */
	guess: number
	/** That of the first row that was drawn, which most of them have. */
	common: number | null
	/** Those that are others, by the row's name. */
	others: Map<string, number>
	/** Heights as they were when nothing of that had changed. */
	sum: { rows: readonly unknown[]; heights: Heights } | null
}

/** @param guess the height that most rows are likely to have, in px. */
export function useWindowRows<R>(list: RefObject<HTMLElement | null>, rows: readonly R[], nameOf: (row: R) => string, guess: number): Shown {
	const measured = useRef<Measured | null>(null)
	if (measured.current?.guess !== guess) measured.current = { guess, common: null, others: new Map(), sum: null }
	const [, redraw] = useReducer((n: number) => n + 1, 0)
	const heightsOf = (rows: readonly R[]): Heights => {
		const known = measured.current!
		if (known.sum?.rows !== rows)
			known.sum = { rows, heights: new Heights(rows.length, known.common ?? guess, (index) => nameOf(rows[index]!), known.others) }
		return known.sum.heights
	}

	// What most often is in view where a page begins with its list.
	const [shown, setShown] = useState<Range>(() => ({ first: 0, end: Math.ceil((window.innerHeight * 0.75) / guess) }))
	const range = { first: Math.min(shown.first, Math.max(rows.length - 1, 0)), end: Math.min(shown.end, rows.length) }

	const latest = useRef({ rows, range, heightsOf })
	latest.current = { rows, range, heightsOf }
	const look = useCallback(() => {
		const { rows, range, heightsOf } = latest.current
		if (!list.current || rows.length === 0) return
		const top = -list.current.getBoundingClientRect().top
		const next = rangeFor(heightsOf(rows), Math.max(top, 0), top + window.innerHeight, range)
		if (next.first !== range.first || next.end !== range.end) setShown(next)
	}, [list])

	// What is above the list may grow or shrink with any drawing.
	useLayoutEffect(look)
	useLayoutEffect(() => {
		// Drawn in the same frame as the scrolling.
		const onScroll = () => flushSync(look)
		window.addEventListener('scroll', onScroll, { passive: true })
		window.addEventListener('resize', onScroll)
		return () => {
			window.removeEventListener('scroll', onScroll)
			window.removeEventListener('resize', onScroll)
		}
	}, [look])

	// A height counts from the next drawing on: that of a row which is drawn makes no difference to the others.
	const [observer] = useState(() => new ResizeObserver((entries) => {
		const known = measured.current!
		const first = known.common === null
		for (const { target, borderBoxSize } of entries) {
			const name = (target as HTMLElement).dataset.name!
			const height = Math.round(borderBoxSize[0]!.blockSize)
			if (height === 0) continue
			known.common ??= height
			if (height === (known.others.get(name) ?? known.common)) continue
			if (height === known.common) known.others.delete(name)
			else known.others.set(name, height)
			known.sum = null
		}
		if (!first || known.common === null || known.common === known.guess) return
		known.sum = null
		redraw()
	}))
	const seen = useCallback((element: HTMLElement | null) => {
		if (!element) return
		observer.observe(element)
		return () => observer.unobserve(element)
	}, [observer])

	const heights = heightsOf(rows)
	return { ...range, above: heights.top(range.first), below: heights.total - heights.top(range.end), seen }
}
