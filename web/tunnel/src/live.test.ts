import { describe, expect, it } from 'vitest'

import { addSample, Live, mergeStatus, rates, type Sample } from './live'

const series = (...readings: [number, number][]) =>
	readings.reduce<readonly Sample[]>((all, [at, rx]) => addSample(all, { at, rx, tx: 0 }), [])

describe('status frames', () => {
	it('replace only what they name', () => {
		const before = { web: { listening: true, problem: null }, devices: { a: { online: true, rxBytes: 1 }, b: { online: false } } }
		expect(mergeStatus(before, { devices: { a: { rxBytes: 2 } } })).toEqual({
			web: { listening: true, problem: null },
			devices: { a: { online: true, rxBytes: 2 }, b: { online: false } },
		})
	})

	it('keep untouched devices the same objects', () => {
		const live = new Live()
		live.take({ now: 10, devices: { a: { rxBytes: 1, txBytes: 1 }, b: { rxBytes: 1, txBytes: 1 } }, forwards: {} }, true)
		const before = live.status.get().devices
		live.take({ now: 12, devices: { a: { rxBytes: 3, txBytes: 1 } } }, false)
		expect(live.status.get().devices.b).toBe(before.b)
		expect(live.status.get().devices.a!.rxBytes).toBe(3)
		live.take({ now: 20, devices: {}, forwards: {} }, true)
		expect(live.status.get().devices).toEqual({})
	})
})

describe('traffic', () => {
	it('is the difference of readings over their time', () => {
		const found = rates(series([100, 0], [102, 2000], [104, 6000]), 104)
		expect(found.rx).toBe(2000)
		expect(found.rxSeries.slice(-3)).toEqual([0, 1000, 2000])
		expect(found.rxSeries.length).toBe(30)
	})
	it('is none when readings stop coming', () => {
		expect(rates(series([100, 0], [102, 2000]), 107).rx).toBe(0)
	})
	it('after a silence is not spread over the silence', () => {
		const found = rates(series([100, 0], [102, 2000], [120, 4000]), 120)
		expect(found.rx).toBe(1000)
		expect(found.rxSeries.slice(-4)).toEqual([0, 0, 0, 1000])
	})
	it('starts over when the counters do', () => {
		expect(series([100, 5000], [102, 10])).toEqual([{ at: 102, rx: 10, tx: 0 }])
	})
	it('keeps a bounded history', () => {
		expect(series(...Array.from({ length: 500 }, (_, i): [number, number] => [i * 2, i])).length).toBeLessThan(40)
	})
})
