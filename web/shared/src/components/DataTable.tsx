// A table for any number of rows: only those in view are in the page. Search and sort are part of it.
//
// On a narrow window each row is a card with the names of its columns. The window itself scrolls.

import { memo, useLayoutEffect, useMemo, useRef, useState, type CSSProperties, type ReactNode, type RefObject } from 'react'

import { IconDown, IconSort, IconUp } from '../icons'
import styles from '../styles/table.module.css'
import { IconButton, Select, Skeleton } from './controls'
import { useWindowRows } from './windowRows'

export interface Column<R> {
	id: string
	header: string
	/** A track of the grid, in rem: "minmax(8rem, 2fr)" or "3rem". */
	width: string
	cell: (row: R) => ReactNode
	/** Order of two rows; without it the column does not sort. */
	compare?: (a: R, b: R) => number
	align?: 'end'
	/** Its place on a card: the heading or the corner; else a name with the value under it. */
	card?: 'title' | 'corner'
	/** The name is for screen readers only. */
	hideHeader?: boolean
}

export interface TableTexts {
	sortBy: string
	ascending: string
	descending: string
	loading: string
}

interface Sorting {
	column: string
	descending: boolean
}

export interface DataTableProps<R> {
	label: string
	columns: readonly Column<R>[]
	/** null while they are loading. */
	rows: readonly R[] | null
	rowKey: (row: R) => string
	texts: TableTexts
	/** Shown where there are no rows. */
	empty: ReactNode
	/** Is remembered under this name as long as the window lives. */
	id: string
}

const remembered = new Map<string, Sorting | null>()
/** How high a row and a card most often are. */
const ROW_PX = 57
const CARD_PX = 240
/** As in table.module.css, in rem. */
const GAP_REM = 0.6
const PADDING_REM = 1.1

/** Where a table has less room than this, in px, its rows are cards. */
function roomFor(columns: readonly { width: string }[], rem: number): number {
	const tracks = columns.reduce((sum, { width }) => sum + parseFloat(width.replace('minmax(', '')), 0)
	return Math.ceil((tracks + (columns.length - 1) * GAP_REM + 2 * PADDING_REM) * rem)
}

interface RowProps<R> {
	row: R
	columns: readonly Column<R>[]
	narrow: boolean
	index: number
	name: string
	last: boolean
	seen: (element: HTMLElement | null) => void
}

function RowOf<R>({ row, columns, narrow, index, name, last, seen }: RowProps<R>) {
	return (
		<div ref={seen} data-name={name} role="row" aria-rowindex={index + 2} className={styles.row} data-last={last || undefined}>
			{columns.map((column) => (
				<div
					key={column.id}
					role="cell"
					className={styles.cell}
					data-align={column.align}
					data-card={column.card}
					data-column={column.id}
				>
					{narrow && !column.card && <span className={styles.cellName} aria-hidden="true">{column.header}</span>}
					{column.cell(row)}
				</div>
			))}
		</div>
	)
}
/** A row is drawn again only when it, its place or the columns are others. */
const Row = memo(RowOf) as unknown as typeof RowOf

/** Whether an element is narrower than the columns need; null before that is known, which is before the first paint. */
function useNarrow(element: RefObject<HTMLElement | null>, columns: readonly { width: string }[]): boolean | null {
	const [narrow, setNarrow] = useState<boolean | null>(null)
	useLayoutEffect(() => {
		const room = roomFor(columns, parseFloat(getComputedStyle(document.documentElement).fontSize))
		const measure = () => setNarrow(element.current !== null && element.current.clientWidth < room)
		measure()
		const observer = new ResizeObserver(measure)
		if (element.current) observer.observe(element.current)
		return () => observer.disconnect()
	}, [element, columns])
	return narrow
}

export function DataTable<R>(props: DataTableProps<R>) {
	const { rows, texts, empty, columns } = props
	const frame = useRef<HTMLDivElement>(null)
	const narrow = useNarrow(frame, columns)
	return (
		<div ref={frame}>
			{rows === null ? (
				<div className={styles.loading} role="status" aria-label={texts.loading}>
					<Skeleton /><Skeleton /><Skeleton />
				</div>
			)
			: rows.length === 0 ? <div className={styles.empty}>{empty}</div>
			: narrow !== null && <Rows {...props} rows={rows} narrow={narrow} />}
		</div>
	)
}

function Rows<R>({ label, columns, rows, rowKey, texts, id, narrow }: DataTableProps<R> & { rows: readonly R[]; narrow: boolean }) {
	const [sorting, setSortingState] = useState<Sorting | null>(() => remembered.get(id) ?? null)
	const setSorting = (next: Sorting | null) => {
		remembered.set(id, next)
		setSortingState(next)
	}

	const sorted = useMemo(() => {
		const compare = sorting && columns.find((column) => column.id === sorting.column)?.compare
		if (!compare) return rows
		const order = rows.slice().sort(compare)
		return sorting.descending ? order.reverse() : order
	}, [rows, columns, sorting])

	const body = useRef<HTMLDivElement>(null)
	const { first, end, above, below, seen } = useWindowRows(body, sorted, rowKey, narrow ? CARD_PX : ROW_PX)

	const tracks = { '--tracks': columns.map((column) => column.width).join(' ') } as CSSProperties
	const sortable = columns.filter((column) => column.compare)
	const toggle = (column: string) => {
		if (sorting?.column !== column) setSorting({ column, descending: false })
		else setSorting(sorting.descending ? null : { column, descending: true })
	}

	return (
		<>
			{narrow && sortable.length > 1 && rows.length > 1 && (
				<div className={styles.cardSort}>
					<Select
						aria-label={`${texts.sortBy}: ${label}`}
						value={sorting?.column ?? ''}
						onChange={(event) => setSorting(event.currentTarget.value ? { column: event.currentTarget.value, descending: false } : null)}
						data={[{ value: '', label: texts.sortBy }, ...sortable.map((column) => ({ value: column.id, label: column.header }))]}
					/>
					{sorting && (
						<IconButton
							framed size={36}
							aria-label={sorting.descending ? texts.descending : texts.ascending}
							onClick={() => setSorting({ ...sorting, descending: !sorting.descending })}
						>
							{sorting.descending ? <IconDown size={18} /> : <IconUp size={18} />}
						</IconButton>
					)}
				</div>
			)}
			<div
				role="table"
				aria-label={label}
				aria-rowcount={sorted.length + 1}
				aria-colcount={columns.length}
				className={styles.table}
				data-narrow={narrow || undefined}
				style={tracks}
			>
				<div role="rowgroup" className={narrow ? 'visually-hidden' : styles.head}>
					<div role="row" aria-rowindex={1} className={styles.row}>
						{columns.map((column) => {
							const active = sorting?.column === column.id
							return (
								<div
									key={column.id}
									role="columnheader"
									className={styles.header}
									data-align={column.align}
									aria-sort={!column.compare ? undefined : active ? (sorting.descending ? 'descending' : 'ascending') : 'none'}
								>
									{column.hideHeader ? (
										<span className="visually-hidden">{column.header}</span>
									) : column.compare && !narrow ? (
										<button type="button" className={styles.sort} onClick={() => toggle(column.id)} data-active={active || undefined}>
											{column.header}
											{active ? sorting.descending ? <IconDown size={14} /> : <IconUp size={14} /> : <IconSort size={14} />}
										</button>
									) : (
										column.header
									)}
								</div>
							)
						})}
					</div>
				</div>
				<div role="rowgroup" ref={body} className={styles.body}>
					<div style={{ height: above }} />
					{sorted.slice(first, end).map((row, n) => {
						const name = rowKey(row)
						return <Row key={name} name={name} row={row} index={first + n} columns={columns} narrow={narrow} last={first + n === sorted.length - 1} seen={seen} />
					})}
					<div style={{ height: below }} />
				</div>
			</div>
		</>
	)
}
