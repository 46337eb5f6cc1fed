// What a deletion takes with it, listed before it is done.

import { useI18n } from '../i18n'
import { forwardName, type ForwardRow, type SubnetRow } from '../model'
import { fill } from '@shared/text'
import type { Plural } from '@shared/text'
import styles from '../styles/parts.module.css'

const LISTED_MAX = 12

function Breaks({ title, names }: { title: Plural; names: readonly string[] }) {
	const { m, format } = useI18n()
	if (names.length === 0) return null
	const more = names.length - LISTED_MAX
	return (
		<div className={styles.warnings}>
			<p>{format.count(title, names.length)}</p>
			<ul tabIndex={0} aria-label={format.count(title, names.length)}>
				{names.slice(0, more > 1 ? LISTED_MAX : undefined).map((name) => <li key={name}>{name}</li>)}
				{more > 1 && <li>{format.count(m.devices.more, more)}</li>}
			</ul>
		</div>
	)
}

export function BreaksDevices({ names }: { names: readonly string[] }) {
	const { m } = useI18n()
	return <Breaks title={m.devices.breaksDevices} names={names} />
}

export function BreaksForwards({ rows }: { rows: readonly ForwardRow[] }) {
	const { m } = useI18n()
	return <Breaks title={m.devices.breaksForwards} names={rows.map(forwardName)} />
}

export function BreaksDns({ subnets }: { subnets: readonly SubnetRow[] }) {
	const { m } = useI18n()
	return subnets.map(({ id, subnet }) => (
		<div key={id} className={styles.warnings}><p>{fill(m.devices.breaksDns, { name: subnet.name || id })}</p></div>
	))
}
