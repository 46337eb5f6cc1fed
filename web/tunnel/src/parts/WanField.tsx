// The choice of a public address: the default, one of the server's own, or another (1:1 NAT).

import { NativeSelect, TextInput } from '@mantine/core'
import { useState } from 'react'

import { useTunnel } from '../app'
import { useI18n } from '../i18n'
import { wanAddresses } from '../model'
import { checkIpv4 } from '../validate'
import { useField, type Field } from './form'

const OTHER = 'other'
const none: string[] = []

export interface WanChoice {
	value: string | null
	/** Holds the form back while another address is asked for and not well written. */
	fields: Field[]
	choice: string
	choose: (choice: string) => void
	other: Field
}

export function useWanChoice(initial: string | null): WanChoice {
	const known = useTunnel(wanAddresses) ?? none
	const [choice, choose] = useState(initial === null ? '' : known.includes(initial) ? initial : OTHER)
	const other = useField(choice === OTHER ? (initial ?? '') : '', checkIpv4)
	return {
		value: choice === '' ? null : choice === OTHER ? other.value.trim() : choice,
		fields: choice === OTHER ? [other] : [],
		choice, choose, other,
	}
}

export function WanField({ wan, defaultLabel }: { wan: WanChoice; defaultLabel: string }) {
	const { m } = useI18n()
	const known = useTunnel(wanAddresses) ?? none
	return (
		<>
			<NativeSelect
				label={m.subnets.wan}
				description={m.subnets.wanHint}
				value={wan.choice}
				onChange={(event) => wan.choose(event.currentTarget.value)}
				data={[{ value: '', label: defaultLabel }, ...known, { value: OTHER, label: m.common.another }]}
			/>
			{wan.choice === OTHER && (
				<TextInput label={m.subnets.otherWan} description={m.subnets.otherWanHint} inputMode="decimal" required {...wan.other.props} />
			)}
		</>
	)
}
