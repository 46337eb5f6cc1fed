// What can be changed of a port forward: its label, and whether its server is told the clients.

import { Checkbox, TextInput } from '@mantine/core'
import { useState } from 'react'

import { setForwardLabel, setForwardProxy } from '../actions'
import { useI18n } from '../i18n'
import type { ForwardRow } from '../model'
import { DialogForm, useField } from '../parts/form'
import { checkRequired } from '../validate'

export default function ForwardEditDialog({ row, close }: { row: ForwardRow; close: () => void }) {
	const { m } = useI18n()
	const named = Boolean(row.label)
	const label = useField(row.label ?? '', named ? checkRequired : () => null)
	const [proxy, setProxy] = useState(row.proxy)
	const save = async () => {
		const text = label.value.trim()
		if (text !== (row.label ?? '')) await setForwardLabel(row, text)
		if (proxy !== row.proxy) await setForwardProxy(row, proxy)
	}
	return (
		<DialogForm fields={[label]} save={save} close={close}>
			<TextInput label={m.forwards.label} required={named} data-autofocus {...label.props} />
			{row.count === 1 && row.externalIp !== row.targetIp && (
				<Checkbox
					label={m.forwards.proxy}
					description={m.forwards.proxyHint}
					checked={proxy}
					onChange={(event) => setProxy(event.currentTarget.checked)}
				/>
			)}
		</DialogForm>
	)
}
