// The port forwards: those that the owner made, and those that servers asked for.

import { lazy, useDeferredValue, useMemo } from 'react'

import { Button, Switch } from '@shared/components/controls'
import { DataTable, type Column } from '@shared/components/DataTable'
import { openDialog } from '@shared/components/dialogs'
import { IconEdit, IconPin, IconTrash } from '@shared/icons'
import { Link, navigate, useQuery } from '@shared/router'
import { fill } from '@shared/text'

import { pinForward, removeForward, setForwardEnabled, setForwardLabel } from '../actions'
import { live, useTunnel } from '../app'
import { useI18n, type Messages } from '../i18n'
import { deviceRows, devicesByIp, forwardName, forwardRows, leaseEnd, portRange, type DeviceRow, type ForwardRow } from '../model'
import { ask, attempt } from '../parts/feedback'
import { InlineEdit } from '../parts/InlineEdit'
import { AddButton, Card, Empty, matching, Page, Search, useTableTexts } from '../parts/Page'
import { RowMenu, type RowAction } from '../parts/RowMenu'
import { ForwardState, ForwardTraffic } from '../parts/Traffic'
import styles from '../styles/parts.module.css'

/** The protocols by which servers ask, as they are called in every language. */
const VIA = { pcp: 'PCP', 'nat-pmp': 'NAT-PMP', upnp: 'UPnP' } as const

const ForwardDialog = lazy(() => import('../dialogs/ForwardDialog'))
const ForwardEditDialog = lazy(() => import('../dialogs/ForwardEditDialog'))

function openEdit(m: Messages, row: ForwardRow) {
	openDialog({ title: m.forwards.edit, body: (close) => <ForwardEditDialog row={row} close={close} /> })
}

function Label({ row }: { row: ForwardRow }) {
	const { m } = useI18n()
	if (!row.label && !row.auto)
		return <button type="button" className={styles.addLabel} onClick={() => openEdit(m, row)} aria-label={`${m.forwards.addLabel}: ${row.source}`}>{m.common.none}</button>
	const label = row.label || VIA[row.lease?.via ?? 'pcp']
	return (
		<InlineEdit value={label} label={fill(m.devices.editHint, { name: label })} save={(label) => setForwardLabel(row, label)}>
			<strong title={label}>{label}</strong>
		</InlineEdit>
	)
}

/** The label with the forward's state under it. */
function LabelAndState({ row }: { row: ForwardRow }) {
	return (
		<div className={styles.two}>
			<div><Label row={row} /></div>
			<div><ForwardState source={row.id} enabled={row.enabled} /></div>
		</div>
	)
}

/** The port on the server, and how it is told its clients. */
function InternalPort({ row }: { row: ForwardRow }) {
	const port = <span className={styles.mono}>{portRange(row.targetPort, row.count)}</span>
	return row.proxy ? <div className={styles.two}>{port}<span className={styles.sub}>PROXY v2</span></div> : port
}

/** When an automatic forward ends unless its server asks again, and by what it asked. */
function Until({ row }: { row: ForwardRow }) {
	const { m, format } = useI18n()
	const end = leaseEnd(row)
	const text = end === null ? m.common.none : end === Infinity ? m.forwards.endless : format.until(end, live.now() * 1000)
	return (
		<div className={styles.two}>
			<span title={end !== null && end !== Infinity ? format.time(end) : undefined}>{text}</span>
			{row.lease && <span className={styles.sub}>{VIA[row.lease.via]}</span>}
		</div>
	)
}

function rowActions(m: Messages, row: ForwardRow): RowAction[] {
	const name = forwardName(row)
	return [
		...(row.auto ? [{
			label: m.forwards.pin, icon: <IconPin size={18} />,
			run: () => void attempt(m, () => pinForward(row), { rolledBack: true, done: fill(m.forwards.pinned, { name }) }),
		}] : []),
		{ label: m.common.edit, icon: <IconEdit size={18} />, run: () => openEdit(m, row) },
		{
			label: m.common.delete, icon: <IconTrash size={18} />, danger: true,
			run: () => ask(m, {
				title: fill(m.forwards.deleteTitle, { name }),
				text: row.auto ? m.forwards.deleteAutomaticText : m.forwards.deleteText,
				confirm: m.common.delete,
				action: () => removeForward(row),
			}),
		},
	]
}

const noDevices: ReadonlyMap<string, DeviceRow> = new Map()

const bytesOf = ({ id }: ForwardRow) => {
	const status = live.status.get().forwards[id]
	return status ? status.rxBytes + status.txBytes : 0
}

/** `hostnames`: whether any forward is for a host name alone. */
function useColumns(manual: boolean, hostnames: boolean, devices: ReadonlyMap<string, DeviceRow>): Column<ForwardRow>[] {
	const { m, format } = useI18n()
	return useMemo(() => {
		const text = (of: (row: ForwardRow) => string) => (a: ForwardRow, b: ForwardRow) => format.compare(of(a), of(b))
		const server = ({ device }: ForwardRow) => devices.get(device)?.client.name ?? device
		const columns: Column<ForwardRow>[] = []
		columns.push(
			{
				id: 'enabled', header: m.forwards.enabled, width: '2.75rem', hideHeader: true,
				cell: (row) => (
					<Switch
						aria-label={fill(m.forwards.enable, { name: forwardName(row) })}
						checked={row.enabled}
						onChange={(event) => void attempt(m, () => setForwardEnabled(row, event.target.checked), { rolledBack: true })}
					/>
				),
			},
			{ id: 'label', header: m.forwards.label, width: 'minmax(7.75rem, 2fr)', card: 'title', compare: text((row) => row.label ?? ''), cell: (row) => <LabelAndState row={row} /> },
		)
		columns.push(
			{
				id: 'externalIp', header: m.forwards.externalIp, width: 'minmax(6.75rem, 1fr)', compare: (a, b) => a.order - b.order,
				cell: (row) => <span className={`${styles.mono} ${styles.break}`}>{row.externalIp}</span>,
			},
			{
				id: 'externalPort', header: m.forwards.externalPort, width: 'minmax(5rem, 0.8fr)', compare: (a, b) => a.externalPort - b.externalPort,
				cell: (row) => <span className={styles.mono}>{portRange(row.externalPort, row.count)}</span>,
			},
			...(hostnames ? [{
				id: 'hostname', header: m.forwards.hostname, width: 'minmax(5.5rem, 1.2fr)', compare: text((row) => row.hostname ?? ''),
				cell: (row: ForwardRow) => <span title={row.hostname ?? undefined}>{row.hostname ?? m.common.none}</span>,
			}] : []),
			{
				id: 'server', header: m.forwards.server, width: 'minmax(6.5rem, 1.3fr)', compare: text(server),
				cell: (row) => devices.has(row.device)
					? <Link className={styles.link} to={`/devices/${row.device}`} title={row.targetIp}>{server(row)}</Link>
					: <span className={`${styles.mono} ${styles.break}`}>{row.targetIp}</span>,
			},
			{
				id: 'internalPort', header: m.forwards.internalPort, width: 'minmax(5rem, 0.8fr)', compare: (a, b) => a.targetPort - b.targetPort,
				cell: (row) => <InternalPort row={row} />,
			},
			manual
				? { id: 'protocol', header: m.forwards.protocol, width: '4.25rem', cell: (row: ForwardRow) => <span className={styles.sub}>{row.hostname === null ? 'TCP/UDP' : 'TCP'}</span> }
				: { id: 'until', header: m.forwards.until, width: 'minmax(6.5rem, 0.9fr)', compare: (a, b) => (leaseEnd(a) ?? 0) - (leaseEnd(b) ?? 0), cell: (row) => <Until row={row} /> },
			{ id: 'traffic', header: m.status.traffic, width: '9.25rem', compare: (a, b) => bytesOf(b) - bytesOf(a), cell: (row) => <ForwardTraffic source={row.id} /> },
		)
		columns.push({
			id: 'menu', header: m.common.menu, width: '2.25rem', hideHeader: true, card: 'corner',
			cell: (row) => <RowMenu name={forwardName(row)} actions={() => rowActions(m, row)} />,
		})
		return columns
	}, [m, format, manual, hostnames, devices])
}

export default function Forwards() {
	const { m } = useI18n()
	const rows = useTunnel(forwardRows)
	const devices = useTunnel(devicesByIp) ?? noDevices
	const hasServer = useTunnel((document) => deviceRows(document).some(({ client }) => client.kind === 'server')) ?? true
	const [query] = useQuery('q')
	const sought = useDeferredValue(query)
	const texts = useTableTexts()
	const hostnames = useMemo(() => rows?.some((row) => row.hostname !== null) ?? false, [rows])
	const manualColumns = useColumns(true, hostnames, devices)
	const automaticColumns = useColumns(false, hostnames, devices)
	const manual = useMemo(() => rows?.filter((row) => !row.auto) ?? null, [rows])
	const automatic = useMemo(() => rows?.filter((row) => row.auto) ?? null, [rows])
	const text = (row: ForwardRow) =>
		[row.label ?? '', row.source, row.hostname ?? '', row.target, row.device, devices.get(row.device)?.client.name ?? ''].join(' ')
	const foundManual = useMemo(() => matching(manual, sought, text), [manual, sought, devices])
	const foundAutomatic = useMemo(() => matching(automatic, sought, text), [automatic, sought, devices])
	const add = () => openDialog({ title: m.forwards.add, body: (close) => <ForwardDialog close={close} /> })
	const none = <Empty title={fill(m.common.noMatch, { query })} />
	return (
		<Page title={m.forwards.title} search={<Search label={m.forwards.title} />}>
			<Card
				title={m.forwards.manual} intro={m.forwards.manualIntro} count={manual?.length}
				action={<AddButton label={m.forwards.add} onClick={add} disabled={!hasServer} />}
			>
				<DataTable
					id="forwards-manual" label={m.forwards.manual} columns={manualColumns} rows={foundManual} rowKey={(row) => row.id} texts={texts}
					empty={
						query && manual?.length ? none
						: hasServer ? <Empty title={m.forwards.empty} hint={m.forwards.emptyHint} action={<Button variant="light" onClick={add}>{m.forwards.add}</Button>} />
						: (
							<Empty
								title={m.forwards.empty} hint={m.forwards.needServer}
								action={<Button variant="light" onClick={() => navigate('/devices')}>{m.nav.devices}</Button>}
							/>
						)
					}
				/>
			</Card>
			<Card title={m.forwards.automatic} intro={m.forwards.automaticIntro} count={automatic?.length}>
				<DataTable
					id="forwards-automatic" label={m.forwards.automatic} columns={automaticColumns} rows={foundAutomatic} rowKey={(row) => row.id} texts={texts}
					empty={query && automatic?.length ? none : <Empty title={m.forwards.empty} hint={m.forwards.emptyAutomaticHint} />}
				/>
			</Card>
		</Page>
	)
}
