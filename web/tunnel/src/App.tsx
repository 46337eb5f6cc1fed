// The pages by their addresses, and the dialogs and messages over them.

import { lazy, Suspense, useEffect, useReducer, type ComponentType } from 'react'

import { closeDialogs, Dialogs, preloadDialogs } from '@shared/components/dialogs'
import { navigate, usePath } from '@shared/router'
import { useStore } from '@shared/store'
import { Toasts } from '@shared/toasts'

import { session } from './app'
import { I18nProvider, useI18n } from './i18n'
import Devices from './pages/Devices'
import Dns from './pages/Dns'
import Forwards from './pages/Forwards'
import Subnets from './pages/Subnets'
import { preloadQuestions } from './parts/feedback'
import { preloadMenus } from './parts/RowMenu'
import { Shell } from './Shell'

/** Those that come with the frame. */
const pages = new Map<string, ComponentType>([
	['/subnets', Subnets],
	['/devices', Devices],
	['/port-forwards', Forwards],
	['/dns', Dns],
])
const SETTINGS = '/settings'

const Login = lazy(() => import('./pages/Login'))

// Not React's lazy(): it keeps a page that has come from being shown for some 300 ms.
async function loadSettings(): Promise<void> {
	pages.set(SETTINGS, (await import('./pages/Settings')).default)
}

const pageAt = (path: string) => [...pages.keys(), SETTINGS].find((page) => path === page || path.startsWith(`${page}/`))

/** Has the first page loaded while everything around it is drawn. */
export function preload(): void {
	if (session.get() === 'in' && pageAt(location.pathname) === SETTINGS) void loadSettings().catch(() => undefined)
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
	const Current = pages.get(known ?? '/subnets')
	const [, redraw] = useReducer((n: number) => n + 1, 0)
	useEffect(() => {
		if (!Current) void loadSettings().then(redraw, () => undefined)
	}, [Current])
	return Current ? <Current /> : null
}

/** What a person does before they open something. Not scrolling, which nothing is to hold up. */
const SIGNS = ['pointermove', 'pointerup', 'keydown', 'focusin'] as const

/** Loads what menus and dialogs are made of, as soon as somebody is about to use one. */
function useNext(inside: boolean): void {
	useEffect(() => {
		if (!inside) return
		const stop = () => SIGNS.forEach((sign) => document.removeEventListener(sign, onSign))
		const onSign = (event: Event) => {
			if (event.type === 'pointermove' && (event as PointerEvent).pointerType !== 'mouse') return
			stop()
			void Promise.all([preloadMenus(), preloadDialogs(), preloadQuestions()]).catch(() => undefined)
		}
		SIGNS.forEach((sign) => document.addEventListener(sign, onSign, { passive: true }))
		return stop
	}, [inside])
}

function Root() {
	const { m } = useI18n()
	const inside = useStore(session, (state) => state === 'in')
	useNext(inside)
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
	return <I18nProvider><Root /></I18nProvider>
}
