// The actions of a row. The menu itself is loaded and made when it is first asked for: tables have many rows.

import { lazy, Suspense, useState, type ReactNode } from 'react'

import { IconButton } from '@shared/components/controls'
import { IconMore } from '@shared/icons'
import { fill } from '@shared/text'

import { useI18n } from '../i18n'

export interface RowAction {
	label: string
	icon: ReactNode
	run: () => void
	danger?: boolean
}

const load = () => import('./OpenMenu')
const OpenMenu = lazy(load)

/** Has menus ready to be opened. */
export const preloadMenus = (): Promise<unknown> => load()

export function RowMenu({ name, actions }: { name: string; actions: () => RowAction[] }) {
	const { m } = useI18n()
	const [asked, setAsked] = useState(false)
	const label = fill(m.common.actions, { name })
	const closed = (
		<IconButton size={36} aria-label={label} aria-haspopup="menu" aria-expanded={false} onClick={() => setAsked(true)}>
			<IconMore />
		</IconButton>
	)
	return asked ? <Suspense fallback={closed}><OpenMenu label={label} actions={actions} /></Suspense> : closed
}
