// The subnets.

import { lazy, useMemo } from 'react'

import { Button } from '@shared/components/controls'
import { DataTable, type Column } from '@shared/components/DataTable'
import { openDialog } from '@shared/components/dialogs'
import { IconEdit, IconTrash } from '@shared/icons'
import { Link, useQuery } from '@shared/router'
import { fill } from '@shared/text'

import { removeSubnet, renameSubnet } from '../actions'
import { theDocument, useTunnel } from '../app'
import { useI18n, type Messages } from '../i18n'
import { defaultWan, forwardsTo, subnetRows, type SubnetRow } from '../model'
import { BreaksDevices, BreaksForwards } from '../parts/Breaks'
import { ask } from '../parts/feedback'
import { InlineEdit } from '../parts/InlineEdit'
import { AddButton, Card, Empty, matching, Page, Search, useTableTexts } from '../parts/Page'
import { RowMenu } from '../parts/RowMenu'
import styles from '../styles/parts.module.css'

const SubnetDialog = lazy(() => import('../dialogs/SubnetDialog'))

function dnsText(m: Messages, { subnet }: SubnetRow): string {
	if (subnet.dns.type === 'device') return subnet.clients[subnet.dns.ip]?.name ?? subnet.dns.ip
	return subnet.dns.type === 'custom' ? m.subnets.dnsCustomShort : m.subnets.dnsDefaultShort
}

const systemDefault = (m: Messages, ip: string | null) => (ip ? fill(m.subnets.systemDefaultIp, { ip }) : m.subnets.systemDefault)

function openSubnet(m: Messages, subnet: string | null) {
	openDialog({
		title: subnet === null ? m.subnets.add : m.subnets.edit,
		body: (close) => <SubnetDialog subnetKey={subnet} close={close} />,
	})
}

function askRemove(m: Messages, row: SubnetRow) {
	const document = theDocument()
	const devices = Object.entries(row.subnet.clients).map(([ip, client]) => `${client.name} (${ip})`)
	const forwards = document ? forwardsTo(document, new Set(Object.keys(row.subnet.clients))) : []
	ask(m, {
		title: fill(m.subnets.deleteTitle, { name: row.subnet.name || row.id }),
		text: (
			<>
				{devices.length > 0 && m.subnets.deleteText}
				<BreaksDevices names={devices} />
				<BreaksForwards rows={forwards} />
			</>
		),
		confirm: m.common.delete,
		action: () => removeSubnet(row.id),
	})
}

export default function Subnets() {
	const { m, format } = useI18n()
	const rows = useTunnel(subnetRows)
	const system = useTunnel(defaultWan)
	const [query] = useQuery('q')
	const texts = useTableTexts()

	const columns = useMemo((): Column<SubnetRow>[] => [
		{
			id: 'name', header: m.common.name, width: 'minmax(10rem, 2fr)', card: 'title',
			compare: (a, b) => format.compare(a.subnet.name, b.subnet.name),
			cell: ({ id, subnet }) => (
				<InlineEdit value={subnet.name} label={fill(m.devices.editHint, { name: subnet.name })} save={(name) => renameSubnet(id, name)}>
					<strong>{subnet.name}</strong>
				</InlineEdit>
			),
		},
		{
			id: 'range', header: m.subnets.range, width: 'minmax(9rem, 1.2fr)', compare: (a, b) => a.order - b.order,
			cell: ({ id, subnet }) => subnet.ipv6
				? (
					<div className={styles.two}>
						<span className={styles.mono}>{id}</span>
						<span className={`${styles.mono} ${styles.sub}`} title={subnet.ipv6}>{subnet.ipv6}</span>
					</div>
				)
				: <span className={styles.mono}>{id}</span>,
		},
		{
			id: 'devices', header: m.subnets.devices, width: 'minmax(6rem, 0.8fr)', compare: (a, b) => a.devices - b.devices,
			cell: ({ id, devices }) => <Link className={styles.link} to={`/devices?q=${encodeURIComponent(id)}`}>{format.count(m.subnets.count, devices)}</Link>,
		},
		{
			id: 'dns', header: m.subnets.dns, width: 'minmax(7rem, 1fr)', compare: (a, b) => dnsText(m, a).localeCompare(dnsText(m, b)),
			cell: (row) => <span title={row.subnet.dns.type === 'custom' ? row.subnet.dns.servers.join(', ') : undefined}>{dnsText(m, row)}</span>,
		},
		{
			id: 'wan', header: m.subnets.wan, width: 'minmax(11rem, 1.4fr)', compare: (a, b) => (a.wan ?? '').localeCompare(b.wan ?? ''),
			cell: ({ subnet }) => subnet.wanIp ? <span className={styles.mono}>{subnet.wanIp}</span> : <span className={styles.quiet}>{systemDefault(m, system)}</span>,
		},
		{
			id: 'menu', header: m.common.menu, width: '2.25rem', hideHeader: true, card: 'corner',
			cell: (row) => (
				<RowMenu
					name={row.subnet.name || row.id}
					actions={() => [
						{ label: m.common.edit, icon: <IconEdit size={18} />, run: () => openSubnet(m, row.id) },
						{ label: m.common.delete, icon: <IconTrash size={18} />, danger: true, run: () => askRemove(m, row) },
					]}
				/>
			),
		},
	], [m, format, system])

	const found = useMemo(() => matching(rows, query, (row) => [row.subnet.name, row.id, row.subnet.ipv6 ?? '', row.subnet.wanIp ?? '', dnsText(m, row)].join(' ')), [rows, query, m])
	return (
		<Page title={m.subnets.title} search={<Search label={m.subnets.title} />}>
			<Card title={m.subnets.title} intro={m.subnets.intro} count={rows?.length} action={<AddButton label={m.subnets.add} onClick={() => openSubnet(m, null)} />}>
				<DataTable
					id="subnets" label={m.subnets.title} columns={columns} rows={found} rowKey={(row) => row.id} texts={texts}
					empty={
						query && rows?.length ? <Empty title={fill(m.common.noMatch, { query })} />
						: <Empty title={m.subnets.empty} hint={m.subnets.emptyHint} action={<Button variant="light" onClick={() => openSubnet(m, null)}>{m.subnets.add}</Button>} />
					}
				/>
			</Card>
		</Page>
	)
}
