// The label of a port forward.

import { TextInput } from '@mantine/core'

import { setForwardLabel } from '../actions'
import { useI18n } from '../i18n'
import type { ForwardRow } from '../model'
import { DialogForm, useField } from '../parts/form'
import { checkRequired } from '../validate'

export default function LabelDialog({ row, close }: { row: ForwardRow; close: () => void }) {
	const { m } = useI18n()
	const label = useField(row.label ?? '', checkRequired)
	return (
		<DialogForm fields={[label]} save={() => setForwardLabel(row, label.value.trim())} close={close}>
			<TextInput label={m.forwards.label} required data-autofocus {...label.props} />
		</DialogForm>
	)
}
