// A table for any number of rows: only those in view are in the page. Search and sort are part of it.
//
// On a narrow window each row is a card with the names of its columns. The window itself scrolls.

import { ActionIcon, NativeSelect, Skeleton } from '@mantine/core'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { memo, useLayoutEffect, useMemo, useRef, useState, type CSSProperties, type ReactNode, type RefObject } from 'react'

import { IconDown, IconSort, IconUp } from '../icons'
import styles from '../styles/table.module.css'

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
const ROW_PX = 57
const CARD_PX = 240
/** As in table.module.css, in rem. */
const GAP_REM = 0.6
const PADDING_REM = 1.1

/** Where a table has less room than this, in px, its rows are cards. */
function roomFor(columns: readonly { width: string }[]): number {
	const rem = parseFloat(getComputedStyle(document.documentElement).fontSize)
	const tracks = columns.reduce((sum, { width }) => sum + parseFloat(width.replace('minmax(', '')), 0)
	return Math.ceil((tracks + (columns.length - 1) * GAP_REM + 2 * PADDING_REM) * rem)
}

interface RowProps<R> {
	row: R
	columns: readonly Column<R>[]
	narrow: boolean
	index: number
}

function Cells<R>({ row, columns, narrow }: Omit<RowProps<R>, 'index'>) {
	return <>{columns.map((column) => (
		<div
			key={column.id}
			role="cell"
			className={styles.cell}
			data-align={column.align}
			data-card={column.card}
			data-column={column.id}
		>
			{narrow && !column.card && <span className={styles.cellName} aria-hidden="true">{column.header}</span>}
			<div className={styles.cellValue}>{column.cell(row)}</div>
		</div>
	))}</>
}
/** A row is drawn again only when it, or the columns, are others. */
const MemoCells = memo(Cells) as unknown as typeof Cells

/** Whether an element is narrower than `room`; known before the first paint. */
function useNarrow(element: RefObject<HTMLElement | null>, room: number): boolean {
	const [narrow, setNarrow] = useState(false)
	useLayoutEffect(() => {
		const measure = () => setNarrow(element.current !== null && element.current.clientWidth < room)
		measure()
		const observer = new ResizeObserver(measure)
		if (element.current) observer.observe(element.current)
		return () => observer.disconnect()
	}, [element, room])
	return narrow
}

export function DataTable<R>(props: DataTableProps<R>) {
	const frame = useRef<HTMLDivElement>(null)
	const room = useMemo(() => roomFor(props.columns), [props.columns])
	const narrow = useNarrow(frame, room)
	return <div ref={frame}><Rows {...props} narrow={narrow} /></div>
}

function Rows<R>({ label, columns, rows, rowKey, texts, empty, id, narrow }: DataTableProps<R> & { narrow: boolean }) {
	const [sorting, setSortingState] = useState<Sorting | null>(() => remembered.get(id) ?? null)
	const setSorting = (next: Sorting | null) => {
		remembered.set(id, next)
		setSortingState(next)
	}

	const sorted = useMemo(() => {
		const compare = sorting && columns.find((column) => column.id === sorting.column)?.compare
		if (!rows || !compare) return rows ?? []
		const order = rows.slice().sort(compare)
		return sorting.descending ? order.reverse() : order
	}, [rows, columns, sorting])

	const body = useRef<HTMLDivElement>(null)
	const [offset, setOffset] = useState(0)
	// What is above the table may grow or shrink on any render.
	useLayoutEffect(() => {
		const top = body.current ? body.current.getBoundingClientRect().top + window.scrollY : 0
		if (Math.abs(top - offset) > 0.5) setOffset(top)
	})
	const virtualizer = useWindowVirtualizer({
		count: sorted.length,
		estimateSize: () => (narrow ? CARD_PX : ROW_PX),
		overscan: 4,
		scrollMargin: offset,
		getItemKey: (index) => rowKey(sorted[index]!),
	})
	useLayoutEffect(() => virtualizer.measure(), [narrow, virtualizer])

	const tracks = { '--tracks': columns.map((column) => column.width).join(' ') } as CSSProperties
	const sortable = columns.filter((column) => column.compare)
	const toggle = (column: string) => {
		if (sorting?.column !== column) setSorting({ column, descending: false })
		else setSorting(sorting.descending ? null : { column, descending: true })
	}

	if (rows === null)
		return (
			<div className={styles.loading} role="status" aria-label={texts.loading}>
				{[1, 2, 3].map((n) => <Skeleton key={n} height={20} radius="sm" />)}
			</div>
		)
	if (rows.length === 0) return <div className={styles.empty}>{empty}</div>

	return (
		<>
			{narrow && sortable.length > 1 && rows.length > 1 && (
				<div className={styles.cardSort}>
					<NativeSelect
						size="sm"
						aria-label={`${texts.sortBy}: ${label}`}
						value={sorting?.column ?? ''}
						onChange={(event) => setSorting(event.currentTarget.value ? { column: event.currentTarget.value, descending: false } : null)}
						data={[{ value: '', label: texts.sortBy }, ...sortable.map((column) => ({ value: column.id, label: column.header }))]}
					/>
					{sorting && (
						<ActionIcon
							variant="default"
							size={36}
							aria-label={sorting.descending ? texts.descending : texts.ascending}
							onClick={() => setSorting({ ...sorting, descending: !sorting.descending })}
						>
							{sorting.descending ? <IconDown size={18} /> : <IconUp size={18} />}
						</ActionIcon>
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
				<div role="rowgroup" ref={body} className={styles.body} style={{ height: virtualizer.getTotalSize() }}>
					{virtualizer.getVirtualItems().map((item) => (
						<div
							key={item.key}
							ref={virtualizer.measureElement}
							data-index={item.index}
							role="row"
							aria-rowindex={item.index + 2}
							className={styles.row}
							style={{ transform: `translateY(${item.start - offset}px)` }}
						>
							<MemoCells row={sorted[item.index]!} columns={columns} narrow={narrow} />
						</div>
					))}
				</div>
			</div>
		</>
	)
}
