// The frame around the pages: header, menu, and what is wrong with the connection.

import { useEffect, useRef, useState, useSyncExternalStore, type ReactNode } from 'react'

import { Button, IconButton } from '@shared/components/controls'
import { IconClose, IconDevices, IconDns, IconForward, IconMenu, IconOffline, IconPanel, IconRocket, IconSettings, IconSubnets, IconWarning, Logo } from '@shared/icons'
import { Link, usePath } from '@shared/router'
import { useStore } from '@shared/store'
import { fill } from '@shared/text'

import { stream, update, useLive } from './app'
import { useI18n } from './i18n'
import { useSince } from './parts/Traffic'
import styles from './styles/shell.module.css'

/** As in shell.module.css. */
const NARROW = matchMedia('(max-width: 61.99em)')
const COLLAPSED = 'start.menu-collapsed'

function followNarrow(listener: () => void): () => void {
	NARROW.addEventListener('change', listener)
	return () => NARROW.removeEventListener('change', listener)
}

export function Shell({ children }: { children: ReactNode }) {
	const { m } = useI18n()
	const path = usePath()
	const narrow = useSyncExternalStore(followNarrow, () => NARROW.matches)
	const [collapsed, setCollapsed] = useState(localStorage.getItem(COLLAPSED) === 'true')
	const [open, setOpen] = useState(false)
	const menu = useRef<HTMLElement>(null)
	const toggle = useRef<HTMLButtonElement>(null)
	const hasUpdate = useStore(update, (state) => state?.status === 'update-available')

	useEffect(() => setOpen(false), [path])
	useEffect(() => {
		if (!open) return
		menu.current?.querySelector<HTMLElement>('a')?.focus()
		const onKey = (event: KeyboardEvent) => {
			if (event.key !== 'Escape') return
			setOpen(false)
			toggle.current?.focus()
		}
		window.addEventListener('keydown', onKey)
		return () => window.removeEventListener('keydown', onKey)
	}, [open])

	const pages = [
		{ to: '/subnets', name: m.nav.subnets, Icon: IconSubnets },
		{ to: '/devices', name: m.nav.devices, Icon: IconDevices },
		{ to: '/port-forwards', name: m.nav.forwards, Icon: IconForward },
		{ to: '/dns', name: m.nav.dns, Icon: IconDns },
		{ to: '/settings', name: m.nav.settings, Icon: IconSettings },
	]
	const slim = collapsed && !narrow
	const collapse = () => {
		localStorage.setItem(COLLAPSED, String(!collapsed))
		setCollapsed(!collapsed)
	}

	return (
		<div className={styles.shell} data-slim={slim || undefined}>
			<a href="#content" className={styles.skip}>{m.nav.skip}</a>
			<header className={styles.header}>
				{narrow && (
					<IconButton
						ref={toggle} size={40}
						aria-label={open ? m.nav.close : m.nav.open} aria-expanded={open} aria-controls="menu"
						onClick={() => setOpen(!open)}
					>
						{open ? <IconClose /> : <IconMenu />}
					</IconButton>
				)}
				<Link to="/subnets" className={styles.brand}><Logo />StartTunnel</Link>
			</header>
			{narrow && open && <div className={styles.shade} onClick={() => setOpen(false)} />}
			<nav id="menu" ref={menu} className={styles.menu} aria-label={m.nav.label} hidden={narrow && !open}>
				{/* Also where the page that is open is chosen again. */}
				<ul onClick={() => setOpen(false)}>
					{pages.map(({ to, name, Icon }) => {
						const current = path === to || path.startsWith(`${to}/`)
						return (
							<li key={to}>
								<Link to={to} className={styles.item} aria-current={current ? 'page' : undefined} title={slim ? name : undefined}>
									<Icon />
									<span className={slim ? 'visually-hidden' : styles.itemName}>{name}</span>
									{to === '/settings' && hasUpdate && (
										<span className={styles.rocket} title={m.nav.updateAvailable}>
											<IconRocket size={16} /><span className="visually-hidden">{m.nav.updateAvailable}</span>
										</span>
									)}
								</Link>
							</li>
						)
					})}
				</ul>
				{!narrow && (
					<button type="button" className={styles.item} aria-expanded={!collapsed} onClick={collapse} title={slim ? m.nav.expand : undefined}>
						<IconPanel style={collapsed ? undefined : { transform: 'scaleX(-1)' }} />
						<span className={slim ? 'visually-hidden' : styles.itemName}>{collapsed ? m.nav.expand : m.nav.collapse}</span>
					</button>
				)}
			</nav>
			<main id="content" className={styles.main} tabIndex={-1}>
				<Banners />
				{children}
			</main>
		</div>
	)
}

function Banners() {
	const { m } = useI18n()
	const state = useStore(stream.state, (value) => value)
	const lost = useSince(state.phase === 'lost' ? state.since : null, 1500)
	const problem = useLive((status) => (status.network && !status.network.inSync ? status.network.problem : null))
	return (
		<div role="status" className={styles.banners}>
			{lost && (
				<div className={styles.banner} data-kind="offline">
					<IconOffline />
					<span>{m.connection.lost}</span>
					<Button small variant="default" onClick={stream.reconnect}>{m.connection.retry}</Button>
				</div>
			)}
			{problem && (
				<div className={styles.banner}>
					<IconWarning />
					<span>{fill(m.connection.drift, { problem })}</span>
				</div>
			)}
		</div>
	)
}
