// The devices: servers and clients, and the details of one at /devices/<its address>.

import { lazy, Suspense, useMemo, useState } from 'react'

import { Button, Switch } from '@shared/components/controls'
import { DataTable, type Column } from '@shared/components/DataTable'
import { IconEdit, IconInfo, IconQr, IconSwap, IconTrash } from '@shared/icons'
import { Link, navigate, usePath, useQuery } from '@shared/router'
import { fill } from '@shared/text'

import { renameDevice, setDeviceFlag } from '../actions'
import { live, useFeature, useLive, useTunnel } from '../app'
import { useI18n, type Messages } from '../i18n'
import { deviceRows, ipv6Of, subnetRows, type DeviceKind, type DeviceRow } from '../model'
import { askRemoveDevice, askSetKind, openConfig, openDevice } from '../parts/deviceActions'
import { attempt } from '../parts/feedback'
import { InlineEdit } from '../parts/InlineEdit'
import { AddButton, Card, Empty, matching, Page, Search, useTableTexts } from '../parts/Page'
import { RowMenu } from '../parts/RowMenu'
import { DeviceSeen, DeviceTraffic, OnlineBadge } from '../parts/Traffic'
import styles from '../styles/parts.module.css'

const DeviceDrawer = lazy(() => import('../dialogs/DeviceDrawer'))

const inherited = (m: Messages, ip: string | null) => (ip ? fill(m.devices.subnetDefaultIp, { ip }) : m.devices.subnetDefault)

function Name({ row }: { row: DeviceRow }) {
	const { m } = useI18n()
	return (
		<div className={styles.two}>
			<InlineEdit
				value={row.client.name}
				label={fill(m.devices.editHint, { name: row.client.name })}
				save={(name) => renameDevice(row.subnetKey, row.id, name)}
			>
				<span className={styles.nameLine}>
					<Link className={styles.link} to={`/devices/${row.id}${location.search}`}>{row.client.name}</Link>
					<OnlineBadge ip={row.id} />
				</span>
			</InlineEdit>
			<span className={styles.sub}><DeviceSeen ip={row.id} /></span>
		</div>
	)
}

function Addresses({ row: { id, subnetKey, subnet } }: { row: DeviceRow }) {
	const ipv6 = ipv6Of(subnetKey, subnet, id)
	if (!ipv6) return <span className={styles.mono}>{id}</span>
	return (
		<div className={styles.two}>
			<span className={styles.mono}>{id}</span>
			<span className={`${styles.mono} ${styles.sub}`} title={ipv6}>{ipv6}</span>
		</div>
	)
}

function Flag({ row, flag, label }: { row: DeviceRow; flag: 'allowDnsInjection' | 'allowAutoPortForward'; label: string }) {
	const { m } = useI18n()
	const [busy, setBusy] = useState(false)
	const supported = useFeature(flag === 'allowDnsInjection' ? 'device.set-dns-injection' : 'device.set-auto-port-forward')
	const set = async (enabled: boolean) => {
		setBusy(true)
		await attempt(m, () => setDeviceFlag(row.subnetKey, row.id, flag, enabled), { rolledBack: true })
		setBusy(false)
	}
	return (
		<span title={supported ? undefined : m.common.later}>
			<Switch
				aria-label={`${label}: ${row.client.name}`}
				checked={row.client[flag]}
				disabled={!supported || busy}
				aria-busy={busy}
				onChange={(event) => void set(event.currentTarget.checked)}
			/>
		</span>
	)
}

function useColumns(kind: DeviceKind): Column<DeviceRow>[] {
	const { m, format } = useI18n()
	return useMemo(() => {
		const text = (of: (row: DeviceRow) => string) => (a: DeviceRow, b: DeviceRow) => format.compare(of(a), of(b))
		const columns: Column<DeviceRow>[] = [
			{
				id: 'name', header: m.common.name, width: 'minmax(13rem, 2.2fr)', card: 'title',
				compare: text(({ client }) => client.name), cell: (row) => <Name row={row} />,
			},
			{
				id: 'subnet', header: m.devices.subnet, width: 'minmax(5.25rem, 1fr)',
				compare: text(({ subnet, subnetKey }) => subnet.name || subnetKey),
				cell: ({ subnet, subnetKey }) => <span title={subnetKey}>{subnet.name || subnetKey}</span>,
			},
			{
				id: 'ip', header: m.devices.lanIp, width: 'minmax(6.75rem, 0.9fr)', compare: (a, b) => a.order - b.order,
				cell: (row) => <Addresses row={row} />,
			},
			{
				id: 'traffic', header: m.status.traffic, width: '9.75rem',
				compare: (a, b) => bytesOf(b.id) - bytesOf(a.id), cell: ({ id }) => <DeviceTraffic ip={id} />,
			},
		]
		if (kind === 'server')
			columns.push(
				{
					id: 'dns', header: m.devices.dnsInjection, width: 'minmax(5.25rem, 0.7fr)',
					compare: (a, b) => Number(b.client.allowDnsInjection) - Number(a.client.allowDnsInjection),
					cell: (row) => <Flag row={row} flag="allowDnsInjection" label={m.devices.dnsInjection} />,
				},
				{
					id: 'auto', header: m.devices.autoForward, width: 'minmax(6rem, 0.8fr)',
					compare: (a, b) => Number(b.client.allowAutoPortForward) - Number(a.client.allowAutoPortForward),
					cell: (row) => <Flag row={row} flag="allowAutoPortForward" label={m.devices.autoForward} />,
				},
			)
		columns.push(
			{
				id: 'wan', header: m.devices.wan, width: 'minmax(7.25rem, 1.2fr)',
				compare: text(({ client, inheritedWan }) => client.wanIp ?? inheritedWan ?? ''),
				cell: ({ client, inheritedWan }) =>
					client.wanIp
						? <span className={styles.mono}>{client.wanIp}</span>
						: <span className={styles.subWrap}>{inherited(m, inheritedWan)}</span>,
			},
			{
				id: 'menu', header: m.common.menu, width: '2.25rem', hideHeader: true, card: 'corner',
				cell: (row) => (
					<RowMenu
						name={row.client.name}
						actions={() => [
							{ label: m.devices.details, icon: <IconInfo size={18} />, run: () => navigate(`/devices/${row.id}${location.search}`) },
							{ label: m.common.edit, icon: <IconEdit size={18} />, run: () => openDevice(m, row.client.kind, row) },
							{ label: m.devices.viewConfig, icon: <IconQr size={18} />, run: () => openConfig(m, row.subnetKey, row.id, row.client.name) },
							{
								label: row.client.kind === 'server' ? m.devices.toClient : m.devices.toServer,
								icon: <IconSwap size={18} />, run: () => askSetKind(m, row),
							},
							{ label: m.common.delete, icon: <IconTrash size={18} />, danger: true, run: () => askRemoveDevice(m, row) },
						]}
					/>
				),
			},
		)
		return columns
	}, [m, format, kind])
}

function bytesOf(ip: string): number {
	const status = live.status.get().devices[ip]
	return status ? status.rxBytes + status.txBytes : 0
}

function DeviceCard({ kind, rows }: { kind: DeviceKind; rows: readonly DeviceRow[] | null }) {
	const { m, format } = useI18n()
	const columns = useColumns(kind)
	const texts = useTableTexts()
	const [query] = useQuery('q')
	const hasSubnet = useTunnel((document) => subnetRows(document).length > 0) ?? true
	const own = useMemo(() => rows?.filter((row) => row.client.kind === kind) ?? null, [rows, kind])
	const found = useMemo(
		() => matching(own, query, ({ id, client, subnet, subnetKey, inheritedWan }) =>
			[client.name, id, ipv6Of(subnetKey, subnet, id) ?? '', subnet.name, subnetKey, client.wanIp ?? inheritedWan ?? ''].join(' ')),
		[own, query],
	)
	const online = useLive((status) => own?.reduce((n, { id }) => n + (status.devices[id]?.online ? 1 : 0), 0) ?? 0)
	const server = kind === 'server'
	const title = server ? m.devices.servers : m.devices.clients
	const addLabel = server ? m.devices.addServer : m.devices.addClient
	const add = () => openDevice(m, kind, null)
	const summary = own?.length ? format.count(m.status.onlineCount, online, { total: format.number(own.length) }) : ''
	return (
		<Card
			title={title}
			intro={`${server ? m.devices.serversIntro : m.devices.clientsIntro}${summary && ` ${summary}.`}`}
			count={own?.length}
			action={<AddButton label={addLabel} onClick={add} disabled={!hasSubnet} />}
		>
			<DataTable
				id={`devices-${kind}`} label={title} columns={columns} rows={found} rowKey={(row) => row.id} texts={texts}
				empty={
					query && own?.length ? <Empty title={fill(m.common.noMatch, { query })} />
					: !hasSubnet ? (
						<Empty
							title={server ? m.devices.noServers : m.devices.noClients} hint={m.devices.needSubnet}
							action={<Button variant="light" onClick={() => navigate('/subnets')}>{m.nav.subnets}</Button>}
						/>
					) : (
						<Empty
							title={server ? m.devices.noServers : m.devices.noClients}
							hint={server ? m.devices.noServersHint : m.devices.noClientsHint}
							action={<Button variant="light" onClick={add}>{addLabel}</Button>}
						/>
					)
				}
			/>
		</Card>
	)
}

export default function Devices() {
	const { m } = useI18n()
	const rows = useTunnel(deviceRows)
	const ip = decodeURIComponent(usePath().split('/')[2] ?? '')
	return (
		<Page title={m.devices.title} search={<Search label={m.devices.title} />}>
			<DeviceCard kind="server" rows={rows} />
			<DeviceCard kind="client" rows={rows} />
			{rows && ip && (
				<Suspense fallback={null}>
					<DeviceDrawer key={ip} ip={ip} close={() => navigate(`/devices${location.search}`)} />
				</Suspense>
			)}
		</Page>
	)
}
