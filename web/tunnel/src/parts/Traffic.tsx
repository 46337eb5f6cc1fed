// Live parts of a row: whether it is up, and its traffic.

import { useEffect, useState } from 'react'

import { Sparkline } from '@shared/components/Sparkline'
import { Store, useStore } from '@shared/store'
import { fill } from '@shared/text'

import { live, useLive } from '../app'
import { useI18n, type Messages } from '../i18n'
import { rates, type Rates } from '../live'
import styles from '../styles/parts.module.css'

/** Counts on while someone watches: charts move and times age also when nothing comes. */
const tick = new Store(0)
let watchers = 0
let timer: ReturnType<typeof setInterval> | undefined

/** @param needed whether anything would change by itself; of very many rows most stand still. */
export function useTick(needed = true): number {
	useEffect(() => {
		if (!needed) return
		if (watchers++ === 0) timer = setInterval(() => tick.update((n) => n + 1), 2000)
		return () => {
			if (--watchers === 0) clearInterval(timer)
		}
	}, [needed])
	return useStore(tick, (n) => (needed ? n : 0))
}

const SAMPLES_NONE: Rates = { rx: 0, tx: 0, rxSeries: [0, 0], txSeries: [0, 0] }

export function useRates(key: string): Rates {
	const samples = live.samples.get(key)
	const moves = samples !== undefined && samples.length > 1
	useTick(moves)
	return moves ? rates(samples, Math.round(live.now())) : SAMPLES_NONE
}

/** Chart, current rates and totals of a device ("device/<ip>") or forward ("forward/<ip:port>"). */
export function Traffic({ of, rx, tx }: { of: string; rx: number; tx: number }) {
	const { m, format } = useI18n()
	const found = useRates(of)
	// What the device sends, the server receives.
	const text = fill(m.status.rates, { down: format.rate(found.tx), up: format.rate(found.rx) })
	const down = format.bytes(tx)
	const up = format.bytes(rx)
	return (
		<div
			className={styles.traffic} title={`${text}\n${m.status.total}: ↓ ${down} ${m.status.down}, ↑ ${up} ${m.status.up}`}
			role="img" aria-label={`${text}. ${down} ${m.status.down}, ${up} ${m.status.up}`}
		>
			{found === SAMPLES_NONE ? <span className={styles.flat} /> : <Sparkline down={found.txSeries} up={found.rxSeries} width={72} height={28} />}
			<span className={styles.totals}><span>{down}</span><span>{up}</span></span>
		</div>
	)
}

export function DeviceTraffic({ ip }: { ip: string }) {
	const status = useLive((all) => all.devices[ip])
	return <Traffic of={`device/${ip}`} rx={status?.rxBytes ?? 0} tx={status?.txBytes ?? 0} />
}

export function ForwardTraffic({ source }: { source: string }) {
	const status = useLive((all) => all.forwards[source])
	return <Traffic of={`forward/${source}`} rx={status?.rxBytes ?? 0} tx={status?.txBytes ?? 0} />
}

export function Badge({ tone, children }: { tone: 'ok' | 'off' | 'warn'; children: string }) {
	return <span className={styles.badge} data-tone={tone}>{children}</span>
}

export function OnlineBadge({ ip }: { ip: string }) {
	const { m } = useI18n()
	const online = useLive((all) => all.devices[ip]?.online ?? false)
	return <Badge tone={online ? 'ok' : 'off'}>{online ? m.status.online : m.status.offline}</Badge>
}

/** "2 min. ago · 1.2.3.4:51820": the last handshake, and where it came from. */
export function DeviceSeen({ ip }: { ip: string }) {
	const { m, format } = useI18n()
	const seen = useLive((all) => all.devices[ip]?.lastHandshake ?? null)
	useTick(seen !== null)
	const endpoint = useLive((all) => all.devices[ip]?.endpoint ?? null)
	if (!seen) return <>{m.status.never}</>
	const ago = format.ago(Date.parse(seen), live.now() * 1000)
	return (
		<span title={`${fill(m.status.lastSeen, { ago })} (${format.time(seen)})`}>
			{ago}
			{endpoint && ` · ${endpoint}`}
		</span>
	)
}

/** The daemon's words for the state of a forward, in the reader's language. */
export function forwardState(m: Messages, state: string | undefined): { text: string; tone: 'ok' | 'off' | 'warn' } {
	switch (state) {
		case 'active': return { text: m.status.active, tone: 'ok' }
		case 'disabled': return { text: m.status.disabled, tone: 'off' }
		case 'device is offline': return { text: m.status.deviceOffline, tone: 'off' }
		case 'target is not a device': return { text: m.status.noDevice, tone: 'warn' }
		case 'port is not available': return { text: m.status.noPort, tone: 'warn' }
		case 'external address is not on this machine': return { text: m.status.noAddress, tone: 'warn' }
		case undefined: return { text: m.status.unknown, tone: 'off' }
		default: return { text: state, tone: 'warn' }
	}
}

export function ForwardState({ source, enabled }: { source: string; enabled: boolean }) {
	const { m } = useI18n()
	const state = useLive((all) => all.forwards[source]?.state)
	const { text, tone } = forwardState(m, enabled ? (state === 'disabled' ? 'active' : state) : 'disabled')
	return <Badge tone={tone}>{text}</Badge>
}

/** How long something has been so. */
export function useSince(since: number | null, after: number): boolean {
	const [passed, setPassed] = useState(false)
	useEffect(() => {
		setPassed(false)
		if (since === null) return
		const timer = setTimeout(() => setPassed(true), Math.max(0, since + after - Date.now()))
		return () => clearTimeout(timer)
	}, [since, after])
	return passed && since !== null
}
