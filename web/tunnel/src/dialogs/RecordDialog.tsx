// Adding a DNS record.

import { NativeSelect, TextInput } from '@mantine/core'
import { useMemo, useState } from 'react'

import { addRecord } from '../actions'
import { theDocument } from '../app'
import { useI18n } from '../i18n'
import { deviceRows, type RecordType } from '../model'
import { DialogForm, useField } from '../parts/form'
import { checkDnsName, checkIp, checkRequired, checkTtl } from '../validate'

const TYPES: RecordType[] = ['A', 'AAAA', 'CNAME', 'TXT']
const CUSTOM = 'custom'
const TTL = '300'

export default function RecordDialog({ close }: { close: () => void }) {
	const { m } = useI18n()
	const document = useMemo(theDocument, [])
	const servers = useMemo(() => (document ? deviceRows(document).filter(({ client }) => client.kind === 'server') : []), [document])
	const [type, setType] = useState<RecordType>('A')
	const [server, setServer] = useState(servers[0]?.id ?? CUSTOM)
	const isAddress = type === 'A' || type === 'AAAA'
	// Devices have IPv4 addresses only.
	const choice = type === 'A' ? server : CUSTOM

	const name = useField('', checkDnsName)
	const address = useField('', (text) => (isAddress && choice === CUSTOM ? checkIp(text, type) : null))
	const value = useField('', (text) => (isAddress ? null : type === 'CNAME' ? checkDnsName(text) : checkRequired(text, 4096)))
	const ttl = useField(TTL, checkTtl)

	const save = () =>
		addRecord({
			name: name.value.trim().replace(/\.$/, ''),
			type,
			value: !isAddress ? value.value.trim() : choice === CUSTOM ? address.value.trim() : choice,
			ttl: Number(ttl.value),
		})

	return (
		<DialogForm fields={[name, address, value, ttl]} save={save} close={close}>
			<TextInput label={m.common.name} required data-autofocus placeholder="home.example.com" autoCapitalize="off" spellCheck={false} {...name.props} />
			<NativeSelect label={m.dns.type} value={type} onChange={(event) => setType(event.currentTarget.value as RecordType)} data={TYPES} />
			{type === 'A' && (
				<NativeSelect
					label={m.dns.server}
					value={server}
					onChange={(event) => setServer(event.currentTarget.value)}
					data={[...servers.map(({ id, client }) => ({ value: id, label: `${client.name} (${id})` })), { value: CUSTOM, label: m.dns.custom }]}
				/>
			)}
			{isAddress && choice === CUSTOM && <TextInput label={m.dns.address} required autoCapitalize="off" spellCheck={false} {...address.props} />}
			{!isAddress && <TextInput label={m.dns.value} required autoCapitalize="off" spellCheck={false} {...value.props} />}
			<TextInput label={m.dns.ttlSeconds} required inputMode="numeric" {...ttl.props} />
		</DialogForm>
	)
}
