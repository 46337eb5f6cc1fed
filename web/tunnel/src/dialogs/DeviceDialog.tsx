// Adding or editing a device.

import { Checkbox, NativeSelect, Stack, TextInput } from '@mantine/core'
import { useMemo, useState } from 'react'

import { fill } from '@shared/text'

import { addDevice, renameDevice, setDeviceFlag, setDeviceWan } from '../actions'
import { theDocument, useFeature } from '../app'
import { useI18n } from '../i18n'
import { defaultWan, freeAddress, subnetRows, type DeviceKind, type DeviceRow } from '../model'
import { openConfig } from '../parts/deviceActions'
import { DialogForm, useField } from '../parts/form'
import { useWanChoice, WanField } from '../parts/WanField'
import { checkDeviceIp, checkRequired } from '../validate'
import styles from '../styles/parts.module.css'

export default function DeviceDialog({ kind, row, close }: { kind: DeviceKind; row: DeviceRow | null; close: () => void }) {
	const { m } = useI18n()
	const document = useMemo(theDocument, [])
	const subnets = document?.wg.subnets ?? {}
	const choices = document ? subnetRows(document) : []
	const [subnetKey, setSubnetKey] = useState(row?.subnetKey ?? (choices.length === 1 ? choices[0]!.id : ''))
	const subnet = subnets[subnetKey]
	const free = subnet && freeAddress(subnetKey, subnet)

	const name = useField(row?.client.name ?? '', checkRequired)
	const ip = useField(row?.id ?? free ?? '', (text) => (row || !subnet ? null : checkDeviceIp(text, subnetKey, subnet)))
	const wan = useWanChoice(row?.client.wanIp ?? null)
	const [dnsInjection, setDnsInjection] = useState(true)
	const [autoForward, setAutoForward] = useState(true)
	const canDns = useFeature('device.set-dns-injection')
	const canForward = useFeature('device.set-auto-port-forward')

	const chooseSubnet = (key: string) => {
		setSubnetKey(key)
		const chosen = subnets[key]
		ip.set((chosen && freeAddress(key, chosen)) ?? '')
	}

	const save = async () => {
		const label = name.value.trim()
		const address = ip.value.trim()
		if (row) {
			if (label !== row.client.name) await renameDevice(subnetKey, address, label)
		} else {
			await addDevice(subnetKey, label, address, kind)
		}
		if (wan.value !== (row?.client.wanIp ?? null)) await setDeviceWan(subnetKey, address, wan.value)
		if (!row && kind === 'server') {
			if (!dnsInjection && canDns) await setDeviceFlag(subnetKey, address, 'allowDnsInjection', false)
			if (!autoForward && canForward) await setDeviceFlag(subnetKey, address, 'allowAutoPortForward', false)
		}
		if (!row) openConfig(m, subnetKey, address, label)
	}

	const full = !row && subnet !== undefined && !free
	const inherited = subnet && (subnet.wanIp ?? (document && defaultWan(document)))
	return (
		<DialogForm fields={[name, ip, ...wan.fields]} blocked={!subnetKey || full} save={save} close={close}>
			<TextInput label={m.common.name} required data-autofocus {...name.props} />
			{!row && (
				<NativeSelect
					label={m.devices.subnet}
					required
					value={subnetKey}
					onChange={(event) => chooseSubnet(event.currentTarget.value)}
					data={[
						...(subnetKey ? [] : [{ value: '', label: '' }]),
						...choices.map((choice) => ({ value: choice.id, label: choice.subnet.name ? `${choice.subnet.name} (${choice.id})` : choice.id })),
					]}
				/>
			)}
			{!row && subnet && (full
				? <p className={styles.intro}>{m.devices.noHosts}</p>
				: <TextInput label={m.devices.lanIp} required inputMode="decimal" {...ip.props} />)}
			<WanField wan={wan} defaultLabel={inherited ? fill(m.devices.subnetDefaultIp, { ip: inherited }) : m.devices.subnetDefault} />
			{!row && kind === 'server' && (
				<Stack gap="sm">
					<Checkbox
						label={m.devices.allowDnsInjection} description={canDns ? m.devices.dnsInjectionHint : m.common.later}
						disabled={!canDns} checked={dnsInjection} onChange={(event) => setDnsInjection(event.currentTarget.checked)}
					/>
					<Checkbox
						label={m.devices.allowAutoForward} description={canForward ? m.devices.autoForwardHint : m.common.later}
						disabled={!canForward} checked={autoForward} onChange={(event) => setAutoForward(event.currentTarget.checked)}
					/>
				</Stack>
			)}
		</DialogForm>
	)
}
