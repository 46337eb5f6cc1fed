// The pages by their addresses, and the dialogs and messages over them.

import { MantineProvider } from '@mantine/core'
import { lazy, Suspense, useEffect, useReducer, type ComponentType } from 'react'

import { closeDialogs, Dialogs } from '@shared/components/dialogs'
import { navigate, usePath } from '@shared/router'
import { useStore } from '@shared/store'
import { theme } from '@shared/theme'
import { Toasts } from '@shared/toasts'

import { session } from './app'
import { I18nProvider, useI18n } from './i18n'
import { Shell } from './Shell'

const load = {
	'/subnets': () => import('./pages/Subnets'),
	'/devices': () => import('./pages/Devices'),
	'/port-forwards': () => import('./pages/Forwards'),
	'/dns': () => import('./pages/Dns'),
	'/settings': () => import('./pages/Settings'),
}
type PagePath = keyof typeof load

const Login = lazy(() => import('./pages/Login'))

const pageAt = (path: string) =>
	Object.keys(load).find((page) => path === page || path.startsWith(`${page}/`)) as PagePath | undefined

// Not React's lazy(): it keeps a page that has come from being shown for some 300 ms.
const loaded = new Map<PagePath, ComponentType>()

async function loadPage(path: PagePath): Promise<void> {
	if (!loaded.has(path)) loaded.set(path, (await load[path]()).default)
}

/** Has the first page loaded while everything around it is drawn. */
export function preload(): void {
	if (session.get() === 'in') void loadPage(pageAt(location.pathname) ?? '/subnets').catch(() => undefined)
}

function Route() {
	const path = usePath()
	const known = pageAt(path)
	useEffect(() => {
		if (!known) navigate('/subnets', { replace: true })
	}, [known])
	useEffect(() => {
		closeDialogs()
		window.scrollTo(0, 0)
	}, [known])
	const page = known ?? '/subnets'
	const Current = loaded.get(page)
	const [, redraw] = useReducer((n: number) => n + 1, 0)
	useEffect(() => {
		if (!Current) void loadPage(page).then(redraw, () => undefined)
	}, [page, Current])
	return Current ? <Current /> : null
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
