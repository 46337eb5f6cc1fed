// Adding or editing a subnet.

import { Button, Group, NativeSelect, Stack, TextInput, ActionIcon } from '@mantine/core'
import { useMemo, useState } from 'react'

import { IconClose, IconPlus } from '@shared/icons'
import { parseNetwork, formatIpv4 } from '@shared/ip'
import { fill } from '@shared/text'

import { addSubnet, renameSubnet, setSubnetDns, setSubnetIpv6, setSubnetWan } from '../actions'
import { theDocument, useFeature } from '../app'
import { useI18n } from '../i18n'
import { defaultWan, freeSubnet, type SubnetDns } from '../model'
import { useFaultText } from '../parts/faults'
import { DialogForm, useField } from '../parts/form'
import { useWanChoice, WanField } from '../parts/WanField'
import { checkDnsServer, checkIpv6Network, checkRequired, checkSubnet } from '../validate'
import styles from '../styles/parts.module.css'

const SERVERS_MAX = 3
type Ipv6 = 'off' | 'on' | 'own'
const isLocal = (network: string) => /^f[cd]/i.test(network)
const ownKey = (text: string) => {
	const network = parseNetwork(text.trim())
	return network ? `${formatIpv4(network.base + 1)}/${network.prefix}` : text.trim()
}

export default function SubnetDialog({ subnetKey, close }: { subnetKey: string | null; close: () => void }) {
	const { m } = useI18n()
	const faultText = useFaultText()
	const canDns = useFeature('subnet.set-dns')
	const document = useMemo(theDocument, [])
	const subnets = document?.wg.subnets ?? {}
	const before = subnetKey === null ? null : (subnets[subnetKey] ?? null)

	const name = useField(before?.name ?? '', checkRequired)
	const range = useField(subnetKey ?? freeSubnet(subnets), (text) => (subnetKey === null ? checkSubnet(text, subnets) : null))
	const wan = useWanChoice(before?.wanIp ?? null)
	const dnsBefore: SubnetDns = before?.dns ?? { type: 'default' }
	const [mode, setMode] = useState<SubnetDns['type']>(dnsBefore.type)
	const devices = Object.entries(before?.clients ?? {})
	const [device, setDevice] = useState(dnsBefore.type === 'device' ? dnsBefore.ip : (devices[0]?.[0] ?? ''))
	const [servers, setServers] = useState<readonly string[]>(dnsBefore.type === 'custom' ? dnsBefore.servers : [''])
	const [serversLeft, setServersLeft] = useState(false)
	const serverFaults = mode === 'custom' ? servers.map(checkDnsServer) : []

	const ipv6Before: Ipv6 = !before?.ipv6 ? 'off' : isLocal(before.ipv6) ? 'on' : 'own'
	const [ipv6, setIpv6] = useState(ipv6Before)
	const network = useField(ipv6Before === 'own' ? before!.ipv6! : '', (text) => (ipv6 === 'own' ? checkIpv6Network(text) : null))
	const ipv6Value = ipv6 === 'own' ? network.value.trim() : ipv6
	const keepsIpv6 = ipv6 === ipv6Before && (ipv6 !== 'own' || ipv6Value === before?.ipv6)

	const dns: SubnetDns =
		mode === 'custom' ? { type: 'custom', servers: servers.map((text) => text.trim()) }
		: mode === 'device' ? { type: 'device', ip: device }
		: { type: 'default' }
	const noDevice = mode === 'device' && devices.length === 0

	const save = async () => {
		if (serverFaults.some(Boolean)) {
			setServersLeft(true)
			throw new Error(m.errors.notDnsServer)
		}
		const key = subnetKey ?? ownKey(range.value)
		if (subnetKey === null) await addSubnet(key, name.value.trim())
		else if (name.value.trim() !== before?.name) await renameSubnet(key, name.value.trim())
		if (canDns && JSON.stringify(dns) !== JSON.stringify(dnsBefore)) await setSubnetDns(key, dns)
		if (!keepsIpv6) await setSubnetIpv6(key, ipv6Value)
		if (wan.value !== (before?.wanIp ?? null)) await setSubnetWan(key, wan.value)
	}

	const system = document && defaultWan(document)
	return (
		<DialogForm fields={[name, range, network, ...wan.fields]} blocked={noDevice} save={save} close={close}>
			<TextInput label={m.common.name} required data-autofocus {...name.props} />
			{subnetKey === null && (
				<TextInput label={m.subnets.range} description={m.subnets.rangeHint} required inputMode="decimal" {...range.props} />
			)}
			<NativeSelect
				label={m.subnets.dns}
				description={canDns ? undefined : m.common.later}
				disabled={!canDns}
				value={mode}
				onChange={(event) => setMode(event.currentTarget.value as SubnetDns['type'])}
				data={[
					{ value: 'default', label: m.subnets.dnsDefault },
					{ value: 'device', label: m.subnets.dnsDevice },
					{ value: 'custom', label: m.subnets.dnsCustom },
				]}
			/>
			{mode === 'device' && (noDevice
				? <p className={styles.intro}>{m.subnets.dnsNoDevice}</p>
				: (
					<NativeSelect
						label={m.subnets.dnsDevice}
						value={device}
						onChange={(event) => setDevice(event.currentTarget.value)}
						data={devices.map(([ip, client]) => ({ value: ip, label: `${client.name} (${ip})` }))}
					/>
				))}
			{mode === 'custom' && (
				<Stack gap="xs">
					{servers.map((server, i) => (
						<Group key={i} gap="xs" align="flex-start" wrap="nowrap">
							<TextInput
								flex={1}
								aria-label={fill(m.subnets.dnsServer, { n: i + 1 })}
								placeholder="1.1.1.1"
								value={server}
								error={serversLeft ? faultText(serverFaults[i] ?? null) : null}
								onBlur={() => server !== '' && setServersLeft(true)}
								onChange={(event) => {
									const text = event.currentTarget.value
									setServers(servers.map((old, k) => (k === i ? text : old)))
								}}
							/>
							{servers.length > 1 && (
								<ActionIcon
									variant="subtle" color="gray" size={36} aria-label={fill(m.subnets.removeServer, { n: i + 1 })}
									onClick={() => setServers(servers.filter((_, k) => k !== i))}
								>
									<IconClose size={18} />
								</ActionIcon>
							)}
						</Group>
					))}
					{servers.length < SERVERS_MAX && (
						<Button variant="subtle" size="compact-sm" leftSection={<IconPlus size={16} />} onClick={() => setServers([...servers, ''])} style={{ alignSelf: 'flex-start' }}>
							{m.subnets.addServer}
						</Button>
					)}
				</Stack>
			)}
			<NativeSelect
				label={m.subnets.ipv6}
				description={keepsIpv6 ? (ipv6 === 'on' ? before?.ipv6 : undefined) : ipv6 === 'off' ? m.subnets.ipv6OffHint : m.subnets.ipv6Anew}
				value={ipv6}
				onChange={(event) => setIpv6(event.currentTarget.value as Ipv6)}
				data={[
					{ value: 'off', label: m.subnets.ipv6Off },
					{ value: 'on', label: m.subnets.ipv6On },
					{ value: 'own', label: m.subnets.ipv6Own },
				]}
			/>
			{ipv6 === 'own' && (
				<TextInput
					label={m.subnets.ipv6Network} description={m.subnets.ipv6NetworkHint} placeholder="2001:db8:1:2::/64" required
					autoCapitalize="off" spellCheck={false} {...network.props}
				/>
			)}
			<WanField wan={wan} defaultLabel={system ? fill(m.subnets.systemDefaultIp, { ip: system }) : m.subnets.systemDefault} />
		</DialogForm>
	)
}
