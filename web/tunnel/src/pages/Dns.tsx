// DNS records: those that the owner made, and those that servers added by themselves.

import { lazy, useMemo } from 'react'

import { Button } from '@shared/components/controls'
import { DataTable, type Column } from '@shared/components/DataTable'
import { openDialog } from '@shared/components/dialogs'
import { IconInfo, IconTrash } from '@shared/icons'
import { useQuery } from '@shared/router'
import { fill } from '@shared/text'

import { removeRecords } from '../actions'
import { theDocument, useFeature, useTunnel } from '../app'
import { useI18n, type Messages } from '../i18n'
import { devicesByIp, type DeviceRow, type DnsRecord } from '../model'
import { ask } from '../parts/feedback'
import { AddButton, Card, Empty, matching, Page, Search, useTableTexts } from '../parts/Page'
import { RowMenu } from '../parts/RowMenu'
import styles from '../styles/parts.module.css'

const RecordDialog = lazy(() => import('../dialogs/RecordDialog'))

const noDevices: ReadonlyMap<string, DeviceRow> = new Map()

/** "Server (10.59.37.2)" where an address is that of a known device, else the value. */
function valueText(record: DnsRecord, devices: ReadonlyMap<string, DeviceRow>): string {
	if (record.type !== 'A' && record.type !== 'AAAA') return record.value
	const ip = record.source ?? record.value
	const device = devices.get(ip)
	return device ? `${device.client.name} (${ip})` : record.value
}

function askRemove(m: Messages, format: ReturnType<typeof useI18n>['format'], record: DnsRecord) {
	const document = theDocument()
	if (!document) return
	const { name, type } = record
	const values = document.dnsRecords.filter((other) => other.name === name && other.type === type).length
	ask(m, {
		title: fill(m.dns.deleteTitle, { name, type }),
		text: format.count(m.dns.deleteText, values),
		confirm: m.common.delete,
		action: () => removeRecords(document, name, type),
	})
}

export default function Dns() {
	const { m, format } = useI18n()
	const records = useTunnel((document) => document.dnsRecords)
	const devices = useTunnel(devicesByIp) ?? noDevices
	const supported = useFeature('dns.add')
	const [query] = useQuery('q')
	const texts = useTableTexts()
	const manual = useMemo(() => records?.filter((record) => record.source === null) ?? null, [records])
	const automatic = useMemo(() => records?.filter((record) => record.source !== null) ?? null, [records])

	const columns = useMemo((): Column<DnsRecord>[] => {
		const text = (of: (record: DnsRecord) => string) => (a: DnsRecord, b: DnsRecord) => format.compare(of(a), of(b))
		return [
			{
				id: 'name', header: m.common.name, width: 'minmax(10rem, 2fr)', card: 'title',
				compare: text((record) => record.name), cell: (record) => <strong className={styles.break}>{record.name}</strong>,
			},
			{ id: 'type', header: m.dns.type, width: '6rem', compare: text((record) => record.type), cell: (record) => <span className={styles.mono}>{record.type}</span> },
			{
				id: 'value', header: m.dns.server, width: 'minmax(12rem, 2fr)', compare: text((record) => valueText(record, devices)),
				cell: (record) => <span title={record.value}>{valueText(record, devices)}</span>,
			},
			{ id: 'ttl', header: m.dns.ttl, width: '6rem', compare: (a, b) => a.ttl - b.ttl, cell: (record) => format.number(record.ttl) },
		]
	}, [m, format, devices])
	const manualColumns = useMemo((): Column<DnsRecord>[] => [
		...columns,
		{
			id: 'menu', header: m.common.menu, width: '2.25rem', hideHeader: true, card: 'corner',
			cell: (record) => (
				<RowMenu
					name={`${record.name} ${record.type}`}
					actions={() => [{ label: m.common.delete, icon: <IconTrash size={18} />, danger: true, run: () => askRemove(m, format, record) }]}
				/>
			),
		},
	], [columns, m, format])

	const text = (record: DnsRecord) => [record.name, record.type, record.value, valueText(record, devices)].join(' ')
	const foundManual = useMemo(() => matching(manual, query, text), [manual, query, devices])
	const foundAutomatic = useMemo(() => matching(automatic, query, text), [automatic, query, devices])
	const key = (record: DnsRecord) => `${record.name} ${record.type} ${record.value} ${record.source ?? ''}`
	const add = () => openDialog({ title: m.dns.add, body: (close) => <RecordDialog close={close} /> })
	const none = <Empty title={fill(m.common.noMatch, { query })} />
	return (
		<Page title={m.dns.title} search={<Search label={m.dns.title} />}>
			{!supported && <p className={styles.note}><IconInfo /><strong>{m.dns.unavailable}</strong> {m.common.later}</p>}
			<Card
				title={m.dns.manual} intro={m.dns.manualIntro} count={manual?.length}
				action={<AddButton label={m.dns.add} onClick={add} disabled={!supported} />}
			>
				<DataTable
					id="dns-manual" label={m.dns.manual} columns={manualColumns} rows={foundManual} rowKey={key} texts={texts}
					empty={
						query && manual?.length ? none
						: <Empty title={m.dns.empty} action={supported && <Button variant="light" onClick={add}>{m.dns.add}</Button>} />
					}
				/>
			</Card>
			<Card title={m.dns.automatic} intro={m.dns.automaticIntro} count={automatic?.length}>
				<DataTable
					id="dns-automatic" label={m.dns.automatic} columns={columns} rows={foundAutomatic} rowKey={key} texts={texts}
					empty={query && automatic?.length ? none : <Empty title={m.dns.emptyAutomatic} />}
				/>
			</Card>
		</Page>
	)
}
