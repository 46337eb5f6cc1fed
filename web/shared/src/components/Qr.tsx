// A QR code as one SVG path, dark on white in either theme (scanners want that).

import qrcode from 'qrcode-generator'
import { useMemo } from 'react'

const QUIET = 4 // modules of margin, as the standard asks

function draw(text: string): { size: number; path: string } | null {
	try {
		const code = qrcode(0, 'M')
		code.addData(text, 'Byte')
		code.make()
		const count = code.getModuleCount()
		let path = ''
		for (let row = 0; row < count; row++)
			for (let column = 0; column < count; column++)
				if (code.isDark(row, column)) path += `M${column + QUIET} ${row + QUIET}h1v1h-1z`
		return { size: count + 2 * QUIET, path }
	} catch {
		return null // too long for any QR code
	}
}

export function Qr({ text, label, size, tooLong }: { text: string; label: string; size: number; tooLong: string }) {
	const code = useMemo(() => draw(text), [text])
	if (!code) return <p>{tooLong}</p>
	return (
		<svg
			role="img" aria-label={label} viewBox={`0 0 ${code.size} ${code.size}`} width={size} height={size}
			shapeRendering="crispEdges" style={{ maxWidth: '100%', height: 'auto', borderRadius: 8 }}
		>
			<rect width={code.size} height={code.size} fill="#fff" />
			<path d={code.path} fill="#000" />
		</svg>
	)
}
