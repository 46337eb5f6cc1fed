// What can be done with a device, from its row and from its details.

import { lazy } from 'react'

import { openDialog } from '@shared/components/dialogs'
import { fill } from '@shared/text'

import { removeDevice, setDeviceKind } from '../actions'
import { live, theDocument } from '../app'
import type { Messages } from '../i18n'
import { forwardsTo, subnetsServedBy, type DeviceKind, type DeviceRow } from '../model'
import { BreaksDns, BreaksForwards } from './Breaks'
import { ask } from './feedback'

const DeviceDialog = lazy(() => import('../dialogs/DeviceDialog'))
const ConfigDialog = lazy(() => import('../dialogs/ConfigDialog'))

export function openDevice(m: Messages, kind: DeviceKind, row: DeviceRow | null): void {
	openDialog({
		title: row ? m.devices.edit : kind === 'server' ? m.devices.addServer : m.devices.addClient,
		body: (close) => <DeviceDialog kind={kind} row={row} close={close} />,
	})
}

export function openConfig(m: Messages, subnet: string, ip: string, name: string): void {
	openDialog({ title: m.config.title, size: 'lg', body: () => <ConfigDialog subnet={subnet} ip={ip} name={name} /> })
}

export function askSetKind(m: Messages, { subnetKey, id, client }: DeviceRow): void {
	const server = client.kind === 'server'
	ask(m, {
		text: fill(server ? m.devices.toClientText : m.devices.toServerText, { name: client.name }),
		confirm: server ? m.devices.toClient : m.devices.toServer,
		action: () => setDeviceKind(subnetKey, id, server ? 'client' : 'server'),
		harmless: true,
	})
}

export function askRemoveDevice(m: Messages, row: DeviceRow, after?: () => void): void {
	const document = theDocument()
	ask(m, {
		title: fill(m.devices.deleteTitle, { name: row.client.name }),
		text: (
			<>
				{m.devices.deleteText} {live.status.get().devices[row.id]?.online && m.devices.online}
				{document && <BreaksForwards rows={forwardsTo(document, new Set([row.id]))} />}
				{document && <BreaksDns subnets={subnetsServedBy(document, row.id)} />}
			</>
		),
		confirm: m.common.delete,
		action: () => {
			after?.()
			return removeDevice(row.subnetKey, row.id)
		},
	})
}
