// The pages by their addresses, and the dialogs and messages over them.

import { MantineProvider } from '@mantine/core'
import { lazy, Suspense, useEffect } from 'react'

import { closeDialogs, Dialogs } from '@shared/components/dialogs'
import { navigate, usePath } from '@shared/router'
import { useStore } from '@shared/store'
import { theme } from '@shared/theme'
import { Toasts } from '@shared/toasts'

import { session } from './app'
import { I18nProvider, useI18n } from './i18n'
import { Shell } from './Shell'

const pages = {
	'/subnets': lazy(() => import('./pages/Subnets')),
	'/devices': lazy(() => import('./pages/Devices')),
	'/port-forwards': lazy(() => import('./pages/Forwards')),
	'/dns': lazy(() => import('./pages/Dns')),
	'/settings': lazy(() => import('./pages/Settings')),
}
const Login = lazy(() => import('./pages/Login'))

function Route() {
	const path = usePath()
	const known = Object.keys(pages).find((page) => path === page || path.startsWith(`${page}/`)) as keyof typeof pages | undefined
	useEffect(() => {
		if (!known) navigate('/subnets', { replace: true })
	}, [known])
	useEffect(() => {
		closeDialogs()
		window.scrollTo(0, 0)
	}, [known])
	const Current = pages[known ?? '/subnets']
	return <Suspense fallback={null}><Current /></Suspense>
}

function Root() {
	const { m } = useI18n()
	const inside = useStore(session, (state) => state === 'in')
	useEffect(() => {
		if (!inside) closeDialogs()
	}, [inside])
	return (
		<>
			{inside ? <Shell><Route /></Shell> : <Suspense fallback={null}><Login /></Suspense>}
			<Dialogs closeLabel={m.common.close} />
			<Toasts label={m.common.notifications} dismissLabel={m.common.dismiss} />
		</>
	)
}

export function App() {
	return (
		<MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
			<I18nProvider><Root /></I18nProvider>
		</MantineProvider>
	)
}
