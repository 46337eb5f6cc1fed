// A small chart of traffic: to the device filled, from the device as a line, on one scale.

import { memo } from 'react'

const WIDTH = 96
const HEIGHT = 26

function line(series: readonly number[], top: number): string {
	const step = WIDTH / Math.max(series.length - 1, 1)
	return series.map((value, i) => `${i === 0 ? 'M' : 'L'}${(i * step).toFixed(1)} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)}`).join('')
}

export const Sparkline = memo(function Sparkline({ down, up, width = WIDTH, height = HEIGHT }: {
	down: readonly number[]
	up: readonly number[]
	width?: number | string
	height?: number
}) {
	const top = Math.max(1024, ...down, ...up)
	const filled = line(down, top)
	return (
		<svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={width} height={height} preserveAspectRatio="none" aria-hidden="true" focusable="false">
			<path d={`${filled}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} fill="var(--chart-down-soft)" />
			<path d={filled} fill="none" stroke="var(--chart-down)" strokeWidth="1.4" vectorEffect="non-scaling-stroke" />
			<path d={line(up, top)} fill="none" stroke="var(--chart-up)" strokeWidth="1.4" vectorEffect="non-scaling-stroke" />
		</svg>
	)
})
