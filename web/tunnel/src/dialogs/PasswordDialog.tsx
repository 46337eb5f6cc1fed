// A new password.

import { PasswordInput } from '@mantine/core'

import { showToast } from '@shared/toasts'

import { rpc } from '../app'
import { useI18n } from '../i18n'
import { DialogForm, useField } from '../parts/form'
import { checkPassword } from '../validate'

export default function PasswordDialog({ close }: { close: () => void }) {
	const { m } = useI18n()
	const password = useField('', checkPassword)
	const again = useField('', (text) => (text === password.value ? null : { key: 'passwordMatch' }))
	const save = async () => {
		await rpc.call('auth.set-password', { password: password.value })
		showToast({ kind: 'success', title: m.settings.passwordChanged })
	}
	const toggle = { visibilityToggleButtonProps: { 'aria-label': m.settings.showPassword } }
	return (
		<DialogForm fields={[password, again]} save={save} close={close}>
			<PasswordInput
				label={m.settings.newPassword} description={m.settings.passwordHint} required data-autofocus
				autoComplete="new-password" {...toggle} {...password.props}
			/>
			<PasswordInput label={m.settings.confirmPassword} required autoComplete="new-password" {...toggle} {...again.props} />
		</DialogForm>
	)
}
