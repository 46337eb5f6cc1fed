// Adding a DNS record.

import { NativeSelect, TextInput } from '@mantine/core'
import { useMemo, useState } from 'react'

import { addRecord } from '../actions'
import { theDocument } from '../app'
import { useI18n } from '../i18n'
import { deviceRows, ipv6Of, type RecordType } from '../model'
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
	/** The servers that have an address of the type, with it. */
	const hosts = servers.flatMap(({ id, client, subnet, subnetKey }) => {
		const address = type === 'AAAA' ? ipv6Of(subnetKey, subnet, id) : id
		return address ? [{ id, name: client.name, address }] : []
	})
	const chosen = isAddress ? hosts.find(({ id }) => id === server) : undefined
	const choice = chosen?.address ?? CUSTOM

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
			{isAddress && hosts.length > 0 && (
				<NativeSelect
					label={m.dns.server}
					value={chosen?.id ?? CUSTOM}
					onChange={(event) => setServer(event.currentTarget.value)}
					data={[...hosts.map(({ id, name, address }) => ({ value: id, label: `${name} (${address})` })), { value: CUSTOM, label: m.dns.custom }]}
				/>
			)}
			{isAddress && choice === CUSTOM && <TextInput label={m.dns.address} required autoCapitalize="off" spellCheck={false} {...address.props} />}
			{!isAddress && <TextInput label={m.dns.value} required autoCapitalize="off" spellCheck={false} {...value.props} />}
			<TextInput label={m.dns.ttlSeconds} required inputMode="numeric" {...ttl.props} />
		</DialogForm>
	)
}
