// Settings: version, looks, who may get in, the certificate, the server itself.

import { Button, NativeSelect, SegmentedControl, Skeleton } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'

import { IconLock, IconLogout, IconPower, IconRocket } from '@shared/icons'
import { Mantine } from '@shared/components/Mantine'
import { scheme, setScheme, type Scheme } from '@shared/scheme'
import { openDialog } from '@shared/components/dialogs'
import { useStore } from '@shared/store'
import { fill } from '@shared/text'
import { hideToast, showToast } from '@shared/toasts'

import { checkForUpdate, logout, rpc, stream, update, useFeature, useLive } from '../app'
import { languages, useI18n, type Messages } from '../i18n'
import { CopyIcon } from '@shared/components/Copy'
import PasswordDialog from '../dialogs/PasswordDialog'
import { ask, attempt } from '../parts/feedback'
import { Card, Page } from '../parts/Page'
import { Badge } from '../parts/Traffic'
import { Certificate } from './settings/Certificate'
import { Keys } from './settings/Keys'
import { Listen } from './settings/Listen'
import { Sessions } from './settings/Sessions'
import styles from '../styles/parts.module.css'

const UPDATE_POLL_MS = 5000

/** The result of `status`, asked for anew when the connection is. */
function useVersion(): string | null {
	const [version, setVersion] = useState<string | null>(null)
	const phase = useStore(stream.state, (state) => state.phase)
	useEffect(() => {
		let current = true
		rpc.call('status').then(
			(status) => current && setVersion((status as { version?: string }).version ?? null),
			() => {}, // the connection says so
		)
		return () => void (current = false)
	}, [phase])
	return version
}

function Version() {
	const { m } = useI18n()
	const version = useVersion()
	const state = useStore(update, (value) => value)
	const [busy, setBusy] = useState(false)
	const toast = useRef<number | null>(null)
	const updating = state?.status === 'updating'

	useEffect(() => {
		if (!updating) return
		toast.current = showToast({ kind: 'info', title: m.settings.updating, persistent: true })
		const timer = setInterval(() => void checkForUpdate(), UPDATE_POLL_MS)
		return () => {
			clearInterval(timer)
			if (toast.current !== null) hideToast(toast.current)
		}
	}, [updating, m])

	const check = async () => {
		setBusy(true)
		await checkForUpdate()
		setBusy(false)
	}
	const apply = () =>
		ask(m, {
			title: fill(m.settings.updateTo, { version: state!.candidate }),
			text: fill(m.settings.updateText, { version: state!.candidate }),
			confirm: fill(m.settings.updateTo, { version: state!.candidate }),
			action: async () => update.set((await rpc.call('update.apply')) as unknown as typeof state),
			harmless: true,
		})

	return (
		<Card title={m.settings.version}>
			<div className={styles.cardBody}>
				<div className={styles.nameLine} style={{ marginBottom: '0.9rem' }}>
					<strong className={styles.version}>StartTunnel {version ?? state?.installed ?? '…'}</strong>
					{state?.status === 'update-available' && <Badge tone="warn">{m.settings.updateAvailable}</Badge>}
					{state?.status === 'up-to-date' && <Badge tone="ok">{m.settings.upToDate}</Badge>}
				</div>
				{state === null ? <p className={styles.intro}>{m.settings.noUpdate}</p>
				: state.status === 'update-available' ? (
					<Button leftSection={<IconRocket size={18} />} onClick={apply}>{fill(m.settings.updateTo, { version: state.candidate })}</Button>
				) : (
					<Button variant="default" loading={busy || updating} onClick={() => void check()}>{m.settings.check}</Button>
				)}
			</div>
		</Card>
	)
}

function Appearance() {
	const { m, language, setLanguage } = useI18n()
	const chosen = useStore(scheme, (value) => value)
	return (
		<Card title={m.settings.appearance}>
			<div className={`${styles.cardBody} ${styles.fields}`}>
				<div>
					<div className={styles.fieldLabel} id="theme-label">{m.settings.theme}</div>
					<SegmentedControl
						aria-labelledby="theme-label"
						fullWidth
						value={chosen}
						onChange={(value) => setScheme(value as Scheme)}
						data={[
							{ value: 'auto', label: m.settings.auto },
							{ value: 'light', label: m.settings.light },
							{ value: 'dark', label: m.settings.dark },
						]}
					/>
				</div>
				<NativeSelect
					label={m.settings.language}
					value={language}
					onChange={(event) => setLanguage(event.currentTarget.value)}
					data={languages.map(({ id, name }) => ({ value: id, label: name }))}
				/>
			</div>
		</Card>
	)
}

function Server() {
	const { m, format } = useI18n()
	const status = useLive((all) => all)
	const link = status.interface
	if (!link) return <Card title={m.settings.server}><div className={styles.cardBody}><Skeleton height={90} /></div></Card>
	return (
		<Card title={m.settings.server}>
			<div className={styles.cardBody}>
				<dl className={styles.facts}>
					<dt>{m.settings.interface}</dt>
					<dd><span className={styles.mono}>{link.name}</span> (MTU {link.mtu})</dd>
					<dt>{m.settings.backend}</dt>
					<dd>{link.backend}</dd>
					<dt>{m.settings.port_wg}</dt>
					<dd className={styles.mono}>{link.listenPort}</dd>
					<dt>{m.settings.serverKey}</dt>
					<dd className={styles.inline}>
						<code className={`${styles.mono} ${styles.break}`}>{link.publicKey}</code>
						<CopyIcon text={link.publicKey} label={m.common.copy} copiedLabel={m.common.copied} />
					</dd>
					<dt>{m.settings.sync}</dt>
					<dd>
						{status.network?.inSync === false ? <Badge tone="warn">{status.network.problem ?? m.status.unknown}</Badge> : <Badge tone="ok">{m.settings.inSync}</Badge>}
						{status.drift && status.drift.repaired > 0 && (
							<p className={styles.intro}>{format.count(m.settings.repaired, status.drift.repaired, { last: status.drift.last ?? '' })}</p>
						)}
					</dd>
				</dl>
			</div>
		</Card>
	)
}

function reboot(m: Messages) {
	ask(m, {
		title: m.settings.reboot,
		text: m.settings.rebootText,
		confirm: m.settings.reboot,
		action: async () => {
			await rpc.call('restart')
			openDialog({ title: m.settings.rebooting, body: () => <p>{m.settings.rebootingText}</p> })
		},
	})
}

export default function Settings() {
	const { m } = useI18n()
	const sessions = useFeature('auth.session.list')
	const keys = useFeature('auth.key.list')
	const certificate = useFeature('web.get-certificate')
	const listen = useFeature('web.get-listen')
	return (
		<Mantine><Page title={m.settings.title}>
			<div className={styles.columns}>
				<div className={styles.cards}>
					<Version />
					<Appearance />
					<Card title={m.settings.access}>
						<div className={`${styles.cardBody} ${styles.actions}`}>
							<Button
								variant="default" leftSection={<IconLock size={18} />}
								onClick={() => openDialog({ title: m.settings.changePassword, body: (close) => <PasswordDialog close={close} /> })}
							>
								{m.settings.changePassword}
							</Button>
							<Button variant="default" leftSection={<IconPower size={18} />} onClick={() => reboot(m)}>{m.settings.reboot}</Button>
							<Button variant="default" leftSection={<IconLogout size={18} />} onClick={() => void attempt(m, logout)}>{m.settings.logout}</Button>
						</div>
					</Card>
					<Server />
				</div>
				<div className={styles.cards}>
					{sessions && <Sessions />}
					{keys && <Keys />}
					{certificate && <Certificate />}
					{listen && <Listen />}
				</div>
			</div>
		</Page></Mantine>
	)
}
