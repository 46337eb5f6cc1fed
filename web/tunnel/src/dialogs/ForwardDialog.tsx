// Adding a port forward.

import { Alert, Checkbox, Group, NativeSelect, TextInput } from '@mantine/core'
import { useMemo, useState } from 'react'

import { IconWarning } from '@shared/icons'
import { fill } from '@shared/text'
import { showToast } from '@shared/toasts'

import { addForward } from '../actions'
import { theDocument } from '../app'
import { useI18n } from '../i18n'
import { deviceRows, endpointText, findOverlap, forwardName, forwardRows, ipv6Of, wan6Of, wanOf } from '../model'
import { errorText } from '../parts/feedback'
import { DialogForm, useField } from '../parts/form'
import { checkCount, checkHostname, checkPort, checkRange, checkRequired, parsePort } from '../validate'

export default function ForwardDialog({ close }: { close: () => void }) {
	const { m } = useI18n()
	const document = useMemo(theDocument, [])
	const servers = useMemo(() => (document ? deviceRows(document).filter(({ client }) => client.kind === 'server') : []), [document])

	const label = useField('', checkRequired)
	const external = useField('', checkPort)
	const internal = useField('', checkPort)
	const count = useField('1', checkCount)
	const hostname = useField('', checkHostname)
	const [server, setServer] = useState(servers.length === 1 ? servers[0]!.id : '')
	const [wantsIpv6, setWantsIpv6] = useState(false)
	const [redirect, setRedirect] = useState(true)
	const [proxy, setProxy] = useState(false)

	const first = parsePort(external.value)
	const target = parsePort(internal.value)
	const ports = parsePort(count.value) ?? 1
	const range = ports > 1
	const device = servers.find(({ id }) => id === server)
	const deviceIpv6 = device ? ipv6Of(device.subnetKey, device.subnet, device.id) : null
	const ipv6 = wantsIpv6 ? deviceIpv6 : null
	const targetIp = ipv6 ?? server
	const host = range || ipv6 ? '' : hostname.value.trim().toLowerCase()
	const overflow = first !== null && target !== null && checkRange(first, target, ports) !== null
	const wan = document && server ? (ipv6 ? wan6Of(document, ipv6) : wanOf(document, server)) : null
	const tellable = !range && !(ipv6 && wan === ipv6)
	const overlap = document && wan && first !== null ? findOverlap(forwardRows(document), wan, first, ports, host || null) : null
	const offersRedirect = first === 443 && target === 443 && !range && host === ''
	const redirects = offersRedirect && redirect
	const redirectTaken = document && wan && redirects ? findOverlap(forwardRows(document), wan, 80, 1, null) : null

	const fields = [label, external, internal, count, hostname]
	const valid = fields.every((field) => !field.fault) && server !== '' && !overflow && !overlap

	const save = async () => {
		await addForward({
			externalPort: first!,
			target: endpointText(targetIp, target!),
			label: label.value.trim(),
			sni: host ? [host] : [],
			count: ports,
			proxyProtocol: proxy && tellable,
		})
		if (!redirects || redirectTaken) return
		try {
			await addForward({
				externalPort: 80,
				target: endpointText(targetIp, 443),
				label: fill(m.forwards.redirectLabel, { label: label.value.trim() }),
				sni: [],
				count: 1,
				proxyProtocol: proxy && tellable,
			})
		} catch (error) {
			// The one that was asked for is made; the dialog may close.
			showToast({ kind: 'error', title: m.forwards.redirectFailed, text: errorText(m, error) })
		}
	}

	// The inner port is most often the same.
	const setExternal: typeof external.props.onChange = (event) => {
		if (internal.value === external.value) internal.set(event.currentTarget.value)
		external.set(event.currentTarget.value)
	}

	return (
		<DialogForm fields={fields} blocked={!valid} save={save} close={close}>
			<TextInput label={m.forwards.label} required data-autofocus {...label.props} />
			<NativeSelect
				label={m.forwards.server}
				required
				value={server}
				onChange={(event) => setServer(event.currentTarget.value)}
				description={wan ? `${m.forwards.externalIp}: ${wan}` : !server ? undefined : ipv6 ? m.errors.noWan6 : m.errors.noWan}
				data={[
					...(server ? [] : [{ value: '', label: '' }]),
					...servers.map(({ id, client }) => ({ value: id, label: `${client.name} (${id})` })),
				]}
			/>
			{deviceIpv6 && (
				<NativeSelect
					label={m.forwards.family}
					description={ipv6 && wan === ipv6 ? m.forwards.pinholeHint : undefined}
					value={wantsIpv6 ? '6' : '4'}
					onChange={(event) => setWantsIpv6(event.currentTarget.value === '6')}
					data={[{ value: '4', label: 'IPv4' }, { value: '6', label: 'IPv6' }]}
				/>
			)}
			<Group grow align="flex-start">
				<TextInput label={m.forwards.externalPort} required inputMode="numeric" {...external.props} onChange={setExternal} />
				<TextInput label={m.forwards.internalPort} required inputMode="numeric" {...internal.props} />
			</Group>
			<TextInput label={m.forwards.count} description={m.forwards.countHint} required inputMode="numeric" {...count.props} />
			{!range && !ipv6 && (
				<TextInput
					label={`${m.forwards.hostname} (${m.forwards.optional})`}
					description={m.forwards.hostnameHint}
					placeholder="git.example.com"
					autoCapitalize="off"
					spellCheck={false}
					{...hostname.props}
				/>
			)}
			{tellable && (
				<Checkbox
					label={m.forwards.proxy}
					description={m.forwards.proxyHint}
					checked={proxy}
					onChange={(event) => setProxy(event.currentTarget.checked)}
				/>
			)}
			{offersRedirect && (
				<Checkbox
					label={m.forwards.redirect}
					description={redirectTaken ? fill(m.forwards.overlap, { port: 80, label: forwardName(redirectTaken.row) }) : m.forwards.redirectHint}
					disabled={Boolean(redirectTaken)}
					checked={redirect && !redirectTaken}
					onChange={(event) => setRedirect(event.currentTarget.checked)}
				/>
			)}
			{(overflow || overlap) && (
				<Alert color="red" role="alert" icon={<IconWarning />}>
					{overflow ? m.forwards.overflow : fill(m.forwards.overlap, { port: overlap!.port, label: forwardName(overlap!.row) })}
				</Alert>
			)}
		</DialogForm>
	)
}
