// The frame of a page: its title, its cards, what a table shows where it is empty.

import { useEffect, useMemo, type ReactNode } from 'react'

import { Button, IconButton, TextBox } from '@shared/components/controls'
import type { TableTexts } from '@shared/components/DataTable'
import { IconClose, IconPlus, IconSearch } from '@shared/icons'
import { useQuery } from '@shared/router'

import { useI18n } from '../i18n'
import styles from '../styles/parts.module.css'

export function Page({ title, intro, search, children }: { title: string; intro?: string; search?: ReactNode; children: ReactNode }) {
	useEffect(() => {
		document.title = `StartTunnel – ${title}`
	}, [title])
	return (
		<>
			<div className={styles.pageHead}>
				<div>
					<h1 className={styles.title}>{title}</h1>
					{intro && <p className={styles.intro}>{intro}</p>}
				</div>
				{search}
			</div>
			<div className={styles.cards}>{children}</div>
		</>
	)
}

let cards = 0

export function Card({ title, intro, count, action, children }: {
	title: string
	intro?: string
	count?: number
	action?: ReactNode
	children: ReactNode
}) {
	const id = useMemo(() => `card-${++cards}`, [])
	const { format } = useI18n()
	return (
		<section className={styles.card} aria-labelledby={id}>
			<header className={styles.cardHead}>
				<div>
					<h2 id={id} className={styles.cardTitle}>
						{title}
						{count !== undefined && count > 0 && <span className={styles.count}>{format.number(count)}</span>}
					</h2>
					{intro && <p className={styles.intro}>{intro}</p>}
				</div>
				{action}
			</header>
			{children}
		</section>
	)
}

export function AddButton({ label, onClick, disabled }: { label: string; onClick: () => void; disabled?: boolean }) {
	const { m } = useI18n()
	return (
		<Button icon={<IconPlus size={18} />} onClick={onClick} disabled={disabled} aria-label={label}>
			{m.common.add}
		</Button>
	)
}

/** The search of a page; it is part of the address, so that a link leads to what was found. */
export function Search({ label }: { label: string }) {
	const { m } = useI18n()
	const [query, setQuery] = useQuery('q')
	useEffect(() => {
		const onKey = (event: KeyboardEvent) => {
			if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return
			if ((event.target as Element).closest('input, textarea, select, [role="dialog"]')) return
			event.preventDefault()
			document.getElementById('search')?.focus()
		}
		window.addEventListener('keydown', onKey)
		return () => window.removeEventListener('keydown', onKey)
	}, [])
	return (
		<TextBox
			id="search"
			className={styles.search}
			type="search"
			role="searchbox"
			aria-label={`${m.common.search}: ${label}`}
			placeholder={m.common.search}
			before={<IconSearch size={18} />}
			after={query && (
				<IconButton aria-label={m.common.clearSearch} onClick={() => setQuery(null)}>
					<IconClose size={16} />
				</IconButton>
			)}
			value={query}
			onChange={(event) => setQuery(event.currentTarget.value)}
			onKeyDown={(event) => event.key === 'Escape' && setQuery(null)}
		/>
	)
}

export function Empty({ title, hint, action }: { title: string; hint?: string; action?: ReactNode }) {
	return (
		<div className={styles.empty}>
			<strong>{title}</strong>
			{hint && <p>{hint}</p>}
			{action}
		</div>
	)
}

export function useTableTexts(): TableTexts {
	const { m } = useI18n()
	return useMemo(
		() => ({ sortBy: m.common.sortBy, ascending: m.common.ascending, descending: m.common.descending, loading: m.common.loading }),
		[m],
	)
}

/** The rows whose text has every word of the query. */
export function matching<R>(rows: readonly R[] | null, query: string, text: (row: R) => string): readonly R[] | null {
	const words = query.toLowerCase().split(/\s+/).filter(Boolean)
	if (!rows || words.length === 0) return rows
	return rows.filter((row) => {
		const lower = text(row).toLowerCase()
		return words.every((word) => lower.includes(word))
	})
}
