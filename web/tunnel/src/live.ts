// Live status: what the stream's status frames say, and the recent traffic for the small charts.

import { Store } from '@shared/store'
import { isObject, type Json, type JsonObject } from '@shared/patch'

export interface DeviceStatus {
	online: boolean
	endpoint: string | null
	lastHandshake: string | null
	rxBytes: number
	txBytes: number
	publicKey: string
}

export interface ForwardStatus {
	state: string
	rxBytes: number
	txBytes: number
}

export interface LiveStatus {
	now: number
	version?: string
	interface?: { name: string; backend: string; up: boolean; mtu: number; listenPort: number; publicKey: string }
	network?: { inSync: boolean; problem: string | null }
	drift?: { found: number; repaired: number; last: string | null; lastAt: string | null }
	web?: { listening: boolean; problem: string | null; warning?: string | null }
	devices: Record<string, DeviceStatus>
	forwards: Record<string, ForwardStatus>
}

/** Counters at a moment of the daemon's clock (seconds). */
export interface Sample {
	at: number
	rx: number
	tx: number
}

const PERIOD_S = 2
export const CHART_S = 60
const SAMPLES_MAX = CHART_S / PERIOD_S + 3

/**
 * Frames after the first hold only what changed, at every level; what a frame does not name is as
 * before. null takes a device or forward away.
 */
export function mergeStatus(before: JsonObject, change: JsonObject): JsonObject {
	const merged: Record<string, Json> = { ...before }
	for (const [member, value] of Object.entries(change)) {
		const old = merged[member]
		merged[member] = isObject(value) && isObject(old) ? mergeStatus(old, value) : value
	}
	return merged
}

/**
 * Adds a counter reading. A device that was silent has no readings in between, because frames hold
 * only what changed: its traffic was in the last period, so the silence gets an end of its own.
 */
export function addSample(samples: readonly Sample[], next: Sample): readonly Sample[] {
	const last = samples.at(-1)
	if (last && (next.rx < last.rx || next.tx < last.tx || next.at < last.at)) return [next] // the counters began anew
	if (last && next.at === last.at) return [...samples.slice(0, -1), next]
	const silence = last && next.at - last.at > PERIOD_S * 1.5 ? [{ ...last, at: next.at - PERIOD_S }] : []
	return [...samples, ...silence, next].slice(-SAMPLES_MAX)
}

export interface Rates {
	/** Bytes a second, now. */
	rx: number
	tx: number
	/** For each period up to now, oldest first. */
	rxSeries: number[]
	txSeries: number[]
}

/** Bytes a second in each period of the last CHART_S seconds before `now`. */
export function rates(samples: readonly Sample[], now: number): Rates {
	const bins = CHART_S / PERIOD_S
	const rxSeries = new Array<number>(bins).fill(0)
	const txSeries = new Array<number>(bins).fill(0)
	for (let i = 1; i < samples.length; i++) {
		const from = samples[i - 1]!
		const to = samples[i]!
		const seconds = to.at - from.at
		if (seconds <= 0) continue
		for (let at = to.at; at > from.at; at -= PERIOD_S) {
			const bin = bins - 1 - Math.floor((now - at) / PERIOD_S)
			if (bin < 0 || bin >= bins) continue
			rxSeries[bin]! += (to.rx - from.rx) / seconds
			txSeries[bin]! += (to.tx - from.tx) / seconds
		}
	}
	return { rx: rxSeries.at(-1)!, tx: txSeries.at(-1)!, rxSeries, txSeries }
}

const empty: LiveStatus = { now: 0, devices: {}, forwards: {} }

export class Live {
	readonly status = new Store<LiveStatus>(empty)
	/** Counter readings by "device/<ip>" and "forward/<ip:port>". */
	readonly samples = new Map<string, readonly Sample[]>()
	/** The daemon's clock less ours, in seconds. */
	private skew = 0

	take = (value: Json, first: boolean): void => {
		if (!isObject(value)) return
		const merged = mergeStatus(first ? {} : (this.status.get() as unknown as JsonObject), value)
		const status = { ...empty, ...merged } as unknown as LiveStatus
		if (typeof value.now === 'number') this.skew = value.now - Date.now() / 1000
		const at = status.now || Math.round(Date.now() / 1000)
		const sample = (group: string, changed: Json | undefined, all: Record<string, { rxBytes: number; txBytes: number }>) => {
			if (!isObject(changed)) return
			for (const name of Object.keys(changed)) {
				const one = all[name]
				if (typeof one?.rxBytes !== 'number' || typeof one.txBytes !== 'number') continue
				const key = `${group}/${name}`
				this.samples.set(key, addSample(this.samples.get(key) ?? [], { at, rx: one.rxBytes, tx: one.txBytes }))
			}
		}
		sample('device', value.devices, status.devices)
		sample('forward', value.forwards, status.forwards)
		this.status.set(status)
	}

	/** The daemon's time, in seconds. */
	now = (): number => Date.now() / 1000 + this.skew

	clear(): void {
		this.samples.clear()
		this.status.set(empty)
	}
}
