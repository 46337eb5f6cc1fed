// Where the pages are served, and moving them elsewhere.

import { Alert, Button, NativeSelect, Skeleton, TextInput } from '@mantine/core'
import { useState } from 'react'

import { openDialog } from '@shared/components/dialogs'
import { IconWarning } from '@shared/icons'
import { fill } from '@shared/text'

import { rpc, useLive } from '../../app'
import { useI18n } from '../../i18n'
import { endpointText, splitEndpoint } from '../../model'
import { DialogForm, useField } from '../../parts/form'
import { Card } from '../../parts/Page'
import { useCall } from '../../parts/useCall'
import { checkPort } from '../../validate'
import styles from '../../styles/parts.module.css'

function ChangeListen({ before, moved, close }: { before: string | null; moved: (listen: string) => void; close: () => void }) {
	const { m } = useI18n()
	const { value: addresses } = useCall<string[]>('web.get-available-ips')
	const [oldAddress, oldPort] = before ? splitEndpoint(before) : ['0.0.0.0', 8443]
	const [address, setAddress] = useState(oldAddress)
	const port = useField(String(oldPort), checkPort)
	const choices = [...new Set([address, '0.0.0.0', ...(addresses ?? [])])]
	const save = async () => {
		const listen = endpointText(address, port.value.trim())
		if (listen === before) return
		await rpc.call('web.set-listen', { listen })
		moved(listen)
	}
	return (
		<DialogForm fields={[port]} save={save} close={close}>
			<Alert color="orange" icon={<IconWarning />}>{m.settings.listenWarning}</Alert>
			<NativeSelect label={m.settings.address} value={address} onChange={(event) => setAddress(event.currentTarget.value)} data={choices} />
			<TextInput label={m.settings.port} required inputMode="numeric" {...port.props} />
		</DialogForm>
	)
}

export function Listen() {
	const { m } = useI18n()
	const { value: listen, error, reload } = useCall<string | null>('web.get-listen')
	const [loadedOnce, setMoved] = useState<string | null>(null)
	const problem = useLive((status) => status.web?.problem ?? null)
	const moved = (to: string) => {
		const [address, port] = splitEndpoint(to)
		// Every address: the one that this browser came by goes on.
		setMoved(`https://${address === '0.0.0.0' || address === '::' ? `${location.hostname}:${port}` : endpointText(address, port)}`)
		void reload()
	}
	return (
		<Card
			title={m.settings.listen} intro={m.settings.listenIntro}
			action={<Button variant="default" size="xs" onClick={() => openDialog({ title: m.settings.listen, body: (close) => <ChangeListen before={listen} moved={moved} close={close} /> })}>{m.settings.changeListen}</Button>}
		>
			<div className={styles.cardBody}>
				{listen === null && error === null && !loadedOnce ? <Skeleton height={20} /> : <span className={styles.mono}>{listen ? `https://${listen}` : m.settings.notSet}</span>}
				{problem && <Alert color="red" mt="md" icon={<IconWarning />}>{fill(m.settings.listenProblem, { problem })}</Alert>}
				{loadedOnce && (
					<Alert color="ink" mt="md" title={fill(m.settings.listenMoved, { url: loadedOnce })}>
						<a href={`${loadedOnce}/settings`}>{m.settings.openNew}</a>
					</Alert>
				)}
			</div>
		</Card>
	)
}
