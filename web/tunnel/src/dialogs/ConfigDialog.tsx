// The configuration of a device: as a file and as a QR code. It is asked for anew each time and not kept.

import { Alert, Button, Group, Skeleton, Stack, Tabs, Textarea } from '@mantine/core'
import { useEffect, useState } from 'react'

import { CopyButton, saveFile } from '@shared/components/Copy'
import { Qr } from '@shared/components/Qr'
import { IconDownload, IconQr, IconWarning } from '@shared/icons'
import { fill } from '@shared/text'

import { showConfig } from '../actions'
import { useI18n } from '../i18n'
import { errorText } from '../parts/feedback'
import styles from '../styles/parts.module.css'

const LINES = 16
const QR_PX = 352

export default function ConfigDialog({ subnet, ip, name }: { subnet: string; ip: string; name: string }) {
	const { m } = useI18n()
	const [config, setConfig] = useState<string | null>(null)
	const [error, setError] = useState<unknown>(null)
	useEffect(() => {
		let current = true
		showConfig(subnet, ip).then(
			(text) => current && setConfig(text),
			(caught: unknown) => current && setError(caught),
		)
		return () => void (current = false)
	}, [subnet, ip])

	if (error) return <Alert color="red" icon={<IconWarning />} title={m.config.failed}>{errorText(m, error)}</Alert>
	return (
		<Stack gap="md">
			<strong>{name} ({ip})</strong>
			<Tabs defaultValue="file">
				<Tabs.List mb="md">
					<Tabs.Tab value="file">{m.config.file}</Tabs.Tab>
					<Tabs.Tab value="qr" leftSection={<IconQr size={16} />}>{m.config.qr}</Tabs.Tab>
				</Tabs.List>
				<Tabs.Panel value="file">
					{config === null ? <Skeleton height={LINES * 20} /> : (
						<Stack gap="md">
							<Textarea
								aria-label={m.config.content} value={config} readOnly rows={LINES} spellCheck={false} wrap="off"
								classNames={{ input: styles.mono }} onFocus={(event) => event.currentTarget.select()}
							/>
							<Group>
								<CopyButton text={config} label={m.common.copy} copiedLabel={m.common.copied} />
								<Button variant="default" leftSection={<IconDownload size={18} />} onClick={() => saveFile('start-tunnel.conf', config)}>
									{m.common.download}
								</Button>
							</Group>
						</Stack>
					)}
				</Tabs.Panel>
				<Tabs.Panel value="qr">
					{config === null ? <Skeleton height={QR_PX} width={QR_PX} /> : (
						<Stack gap="sm" align="center">
							<Qr text={config} size={QR_PX} label={fill(m.config.qrLabel, { name })} tooLong={m.config.tooLong} />
							<p className={styles.intro}>{m.config.qrHint}</p>
						</Stack>
					)}
				</Tabs.Panel>
			</Tabs>
			<p className={styles.intro}>{m.config.secret}</p>
		</Stack>
	)
}
