// The details of a device, at the side of the table.

import { Button, Drawer, Stack } from '@mantine/core'
import { useMemo } from 'react'

import { CopyIcon } from '@shared/components/Copy'
import { Mantine } from '@shared/components/Mantine'
import { Sparkline } from '@shared/components/Sparkline'
import { IconEdit, IconQr, IconSwap, IconTrash } from '@shared/icons'
import { Link } from '@shared/router'
import { fill } from '@shared/text'

import { useLive, useTunnel } from '../app'
import { useI18n } from '../i18n'
import { devicesByIp, endpointText, forwardRows, ipv6Of, portRange } from '../model'
import { askRemoveDevice, askSetKind, openConfig, openDevice } from '../parts/deviceActions'
import { ForwardState, OnlineBadge, useRates, useTick } from '../parts/Traffic'
import { live } from '../app'
import styles from '../styles/parts.module.css'

export default function DeviceDrawer({ ip, close }: { ip: string; close: () => void }) {
	const { m } = useI18n()
	const row = useTunnel((document) => devicesByIp(document).get(ip) ?? null)
	return (
		<Mantine><Drawer.Root opened onClose={close} size="md" transitionProps={{ duration: 120 }}>
			<Drawer.Overlay />
			<Drawer.Content>
				<Drawer.Header role="none">
					<Drawer.Title>{row ? row.client.name : ip}</Drawer.Title>
					<Drawer.CloseButton aria-label={m.common.close} />
				</Drawer.Header>
				<Drawer.Body>{row ? <Details ip={ip} close={close} /> : <p>{m.devices.gone}</p>}</Drawer.Body>
			</Drawer.Content>
		</Drawer.Root></Mantine>
	)
}

function Details({ ip, close }: { ip: string; close: () => void }) {
	const { m, format } = useI18n()
	useTick()
	const row = useTunnel((document) => devicesByIp(document).get(ip)!)!
	const allForwards = useTunnel(forwardRows)
	const forwards = useMemo(() => allForwards?.filter(({ device }) => device === ip) ?? [], [allForwards, ip])
	const status = useLive((all) => all.devices[ip])
	const rates = useRates(`device/${ip}`)
	const { client, subnet, subnetKey, inheritedWan } = row
	const ipv6 = ipv6Of(subnetKey, subnet, ip)
	return (
		<Stack gap="lg">
			<div className={styles.nameLine}>
				<OnlineBadge ip={ip} />
				<span className={styles.quiet}>{client.kind === 'server' ? m.devices.server : m.devices.client}</span>
			</div>
			<div>
				<Sparkline down={rates.txSeries} up={rates.rxSeries} width="100%" height={64} />
				<p className={styles.intro}>{fill(m.status.rates, { down: format.rate(rates.tx), up: format.rate(rates.rx) })}</p>
			</div>
			<dl className={styles.facts}>
				<dt>{m.devices.lanIp}</dt>
				<dd className={styles.mono}>{ip}</dd>
				{ipv6 && (
					<>
						<dt>{m.subnets.ipv6}</dt>
						<dd className={styles.inline}>
							<code className={`${styles.mono} ${styles.break}`}>{ipv6}</code>
							<CopyIcon text={ipv6} label={m.common.copy} copiedLabel={m.common.copied} />
						</dd>
					</>
				)}
				<dt>{m.devices.subnet}</dt>
				<dd>{subnet.name || subnetKey}</dd>
				<dt>{m.devices.wan}</dt>
				<dd>{client.wanIp ?? (inheritedWan ? fill(m.devices.subnetDefaultIp, { ip: inheritedWan }) : m.devices.subnetDefault)}</dd>
				<dt>{m.status.endpoint}</dt>
				<dd className={styles.mono}>{status?.endpoint ?? m.common.none}</dd>
				<dt>{m.status.handshake}</dt>
				<dd>{status?.lastHandshake ? `${format.ago(Date.parse(status.lastHandshake), live.now() * 1000)} (${format.time(status.lastHandshake)})` : m.status.never}</dd>
				<dt>{m.status.total}</dt>
				<dd>↓ {format.bytes(status?.txBytes ?? 0)} {m.status.down}<br />↑ {format.bytes(status?.rxBytes ?? 0)} {m.status.up}</dd>
				{status?.publicKey && (
					<>
						<dt>{m.devices.publicKey}</dt>
						<dd className={styles.inline}>
							<code className={`${styles.mono} ${styles.break}`}>{status.publicKey}</code>
							<CopyIcon text={status.publicKey} label={m.common.copy} copiedLabel={m.common.copied} />
						</dd>
					</>
				)}
			</dl>
			<div className={styles.actions}>
				<Button leftSection={<IconQr size={18} />} onClick={() => openConfig(m, subnetKey, ip, client.name)}>{m.devices.viewConfig}</Button>
				<Button variant="default" leftSection={<IconEdit size={18} />} onClick={() => openDevice(m, client.kind, row)}>{m.common.edit}</Button>
				<Button variant="default" leftSection={<IconSwap size={18} />} onClick={() => askSetKind(m, row)}>
					{client.kind === 'server' ? m.devices.toClient : m.devices.toServer}
				</Button>
				<Button variant="default" className="danger" leftSection={<IconTrash size={18} />} onClick={() => askRemoveDevice(m, row, close)}>{m.common.delete}</Button>
			</div>
			<section>
				<h3 className={styles.cardTitle}>{m.devices.forwards}</h3>
				{forwards.length === 0 ? <p className={styles.intro}>{m.devices.noForwards}</p> : (
					<ul className={styles.plain}>
						{forwards.slice(0, 50).map((forward) => (
							<li key={forward.id}>
								<Link className={styles.link} to={`/port-forwards?q=${encodeURIComponent(ip)}`}>
									{forward.label ?? forward.hostname ?? forward.source}
								</Link>
								<span className={styles.sub}>
									{endpointText(forward.externalIp, portRange(forward.externalPort, forward.count))} → {portRange(forward.targetPort, forward.count)}
								</span>
								<ForwardState source={forward.id} enabled={forward.enabled} />
							</li>
						))}
						{forwards.length > 50 && <li>{format.count(m.devices.more, forwards.length - 50)}</li>}
					</ul>
				)}
			</section>
		</Stack>
	)
}
