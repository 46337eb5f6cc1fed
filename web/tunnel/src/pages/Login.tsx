// The login page: the password, and help with the certificate. Shows nothing else of the server.

import { Alert, Button, NativeSelect, PasswordInput, Stack } from '@mantine/core'
import { useEffect, useRef, useState, type FormEvent } from 'react'

import { Mantine } from '@shared/components/Mantine'
import { IconChevron, IconWarning, Logo } from '@shared/icons'
import { ErrorCode, RpcError } from '@shared/rpc'

import { login } from '../app'
import { languages, useI18n } from '../i18n'
import { Trust } from '../parts/Trust'
import styles from '../styles/login.module.css'

export default function Login() {
	const { m, language, setLanguage } = useI18n()
	const [password, setPassword] = useState('')
	const [error, setError] = useState<string | null>(null)
	const [busy, setBusy] = useState(false)
	const [trusting, setTrusting] = useState(false)
	const input = useRef<HTMLInputElement>(null)
	useEffect(() => {
		document.title = 'StartTunnel – Login'
	}, [])

	const submit = async (event: FormEvent) => {
		event.preventDefault()
		setBusy(true)
		setError(null)
		try {
			await login(password)
		} catch (caught) {
			const code = caught instanceof RpcError ? caught.code : null
			setError(
				code === ErrorCode.network ? m.connection.networkError
				: code === ErrorCode.rateLimited ? m.login.limited
				: m.login.invalid,
			)
			setBusy(false)
			setTimeout(() => input.current?.select(), 0)
		}
	}

	return (
		<Mantine><main className={styles.page}>
			<div className={styles.box}>
				<div className={styles.brand}><Logo size={52} /><h1>StartTunnel</h1><p>{m.login.intro}</p></div>
				{location.protocol === 'http:' && <Alert color="orange" icon={<IconWarning />} mb="md" className={styles.alert}>{m.login.insecure}</Alert>}
				<form onSubmit={submit}>
					<Stack gap="md">
						<input type="text" name="username" autoComplete="username" value="start-tunnel" readOnly hidden />
						<PasswordInput
							ref={input}
							label={m.login.password}
							placeholder={m.login.placeholder}
							autoComplete="current-password"
							size="md"
							autoFocus
							maxLength={64}
							value={password}
							onChange={(event) => setPassword(event.currentTarget.value)}
							error={error}
							visibilityToggleButtonProps={{ 'aria-label': m.settings.showPassword }}
						/>
						<Button type="submit" size="md" loading={busy} disabled={password === ''}>{m.login.submit}</Button>
					</Stack>
				</form>
				<p className={styles.hint}>{m.login.forgot} <code>start-tunnel auth reset-password</code></p>
			</div>
			<section className={styles.box} data-quiet>
				<button type="button" className={styles.disclosure} aria-expanded={trusting} onClick={() => setTrusting(!trusting)}>
					<IconChevron size={18} /> {m.login.trustTitle}
				</button>
				{trusting && <div className={styles.trust}><p>{m.login.trustIntro}</p><Trust /></div>}
			</section>
			<NativeSelect
				className={styles.language}
				size="xs"
				aria-label={m.settings.language}
				value={language}
				onChange={(event) => setLanguage(event.currentTarget.value)}
				data={languages.map(({ id, name }) => ({ value: id, label: name }))}
			/>
		</main></Mantine>
	)
}
