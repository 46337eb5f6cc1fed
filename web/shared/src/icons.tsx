// Our own icons: strokes on a 24 by 24 grid, in the colour of the text around them.

import type { ReactNode, SVGProps } from 'react'

type IconProps = { size?: number } & Omit<SVGProps<SVGSVGElement>, 'children'>

const icon = (drawing: ReactNode) =>
	function Icon({ size = 20, ...rest }: IconProps) {
		return (
			<svg
				viewBox="0 0 24 24" width={size} height={size} fill="none" stroke="currentColor" strokeWidth={1.75}
				strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false" {...rest}
			>
				{drawing}
			</svg>
		)
	}

export const IconSubnets = icon(<><circle cx="12" cy="5" r="2.2" /><circle cx="5" cy="18.5" r="2.2" /><circle cx="19" cy="18.5" r="2.2" /><path d="M12 7.2v4.3M12 11.5 6.2 16.6M12 11.5l5.8 5.1" /></>)
export const IconDevices = icon(<><rect x="3" y="4.5" width="12.5" height="10" rx="1.5" /><path d="M5.5 18.5h6M9 14.5v4" /><rect x="16.5" y="9.5" width="5" height="10" rx="1.2" /><path d="M19 17h.01" /></>)
export const IconForward = icon(<><path d="M3 8h7.5c2 0 3 1 3 3v2c0 2 1 3 3 3H21" /><path d="m17.8 12.8 3.2 3.2-3.2 3.2" /><path d="M3 16h4" /></>)
export const IconDns = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M3.5 12h17M12 3.5c2.4 2.4 3.5 5.2 3.5 8.500s-1.1 6.1-3.5 8.500c-2.4-2.4-3.5-5.2-3.5-8.500s1.1-6.1 3.5-8.500z" /></>)
export const IconSettings = icon(<><path d="M4 7h8M17 7h3M4 17h3M12 17h8" /><circle cx="14.5" cy="7" r="2.5" /><circle cx="9.5" cy="17" r="2.5" /></>)
export const IconPlus = icon(<path d="M12 5v14M5 12h14" />)
export const IconSearch = icon(<><circle cx="10.5" cy="10.5" r="6" /><path d="m15 15 5 5" /></>)
export const IconClose = icon(<path d="m6 6 12 12M18 6 6 18" />)
export const IconCheck = icon(<path d="m5 12.5 4.5 4.500L19 7.5" />)
export const IconWarning = icon(<><path d="M12 4 2.8 19.500h18.400z" /><path d="M12 10v4.500M12 17h.01" /></>)
export const IconInfo = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M12 11v5M12 8h.01" /></>)
export const IconMore = icon(<path strokeWidth="3.75" d="M12 5.500h.01M12 12h.01M12 18.500h.01" />)
export const IconMenu = icon(<path d="M4 7h16M4 12h16M4 17h16" />)
export const IconPanel = icon(<><rect x="3.5" y="4.5" width="17" height="15" rx="2" /><path d="M9.5 4.500v15M14 10l2 2-2 2" /></>)
export const IconEdit = icon(<><path d="M4.5 19.5 5.5 15 15.8 4.700a2 2 0 0 1 2.8 0l.7.7a2 2 0 0 1 0 2.800L9 18.500z" /><path d="m14 6.5 3.5 3.5" /></>)
export const IconTrash = icon(<path d="M4.5 7h15M10 11v6M14 11v6M6.5 7l.8 12a1.5 1.5 0 0 0 1.5 1.500h6.400a1.5 1.5 0 0 0 1.5-1.500l.8-12M9 7V5a1.5 1.5 0 0 1 1.5-1.500h3A1.5 1.5 0 0 1 15 5v2" />)
export const IconCopy = icon(<><rect x="8.5" y="8.5" width="12" height="12" rx="2" /><path d="M15.5 8.500v-3a2 2 0 0 0-2-2h-8a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h3" /></>)
export const IconDownload = icon(<path d="M12 4v11M7.5 10.5 12 15l4.5-4.500M4.5 19.500h15" />)
export const IconQr = icon(<><rect x="4" y="4" width="6" height="6" rx="1" /><rect x="14" y="4" width="6" height="6" rx="1" /><rect x="4" y="14" width="6" height="6" rx="1" /><path d="M14 14h2v2M20 14v2M14 20h2M18 18h2v2" /></>)
export const IconSwap = icon(<path d="M7 4 3.5 7.5 7 11M3.5 7.500H16M17 13l3.5 3.500L17 20M20.5 16.500H8" />)
export const IconUp = icon(<path d="M12 19V5M6 11l6-6 6 6" />)
export const IconDown = icon(<path d="M12 5v14M6 13l6 6 6-6" />)
export const IconSort = icon(<path d="m8 9 4-4 4 4M8 15l4 4 4-4" />)
export const IconPin = icon(<path d="M9 4h6l-.7 6 3.200 3.500h-11L9.700 10zM12 13.500V20" />)
export const IconRocket = icon(<><path d="M13.5 15.5 8.5 10.500c1-3.8 4-7 10.5-7.5.5 6.5-1.7 9.5-5.5 12.500z" /><path d="M8.5 10.500H5L3.5 13l3.5 1M13.5 15.500V19L11 20.500l-1-3.500M6 18l-2 2" /></>)
export const IconKey = icon(<><circle cx="8" cy="15.5" r="4" /><path d="m11 12.5 8.5-8.500M16 7.500l2.5 2.5" /></>)
export const IconLock = icon(<><rect x="5" y="10.5" width="14" height="9.5" rx="2" /><path d="M8 10.500V8a4 4 0 0 1 8 0v2.5" /></>)
export const IconLogout = icon(<path d="M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M15.5 8l4 4-4 4M19.5 12H10" />)
export const IconPower = icon(<path d="M12 3.500v8M7 6.500a7.5 7.5 0 1 0 10 0" />)
export const IconOffline = icon(<path d="M3 3l18 18M5 12.500a10 10 0 0 1 4-2.300M2 9a15 15 0 0 1 4.5-2.800M13 7a13 13 0 0 1 9 2M9 16a5 5 0 0 1 6 0M12 19.500h.01M15.5 10.800a10 10 0 0 1 3.5 1.7" />)
export const IconShield = icon(<path d="M12 3.5 5 6v5.500c0 4.3 3 7.6 7 9 4-1.4 7-4.7 7-9V6z" />)
export const IconChevron = icon(<path d="m9 6 6 6-6 6" />)

/** StartTunnel's mark: two arches, one within the other, and what passes through. */
export function Logo({ size = 28 }: { size?: number }) {
	return (
		<svg viewBox="0 0 32 32" width={size} height={size} aria-hidden="true" focusable="false">
			<rect width="32" height="32" rx="8" fill="#3558bf" />
			<g fill="none" stroke="#fff" strokeWidth="2.4" strokeLinecap="round">
				<path d="M6 24v-6a10 10 0 0 1 20 0v6" opacity=".55" />
				<path d="M11 24v-6a5 5 0 0 1 10 0v6" />
			</g>
			<circle cx="16" cy="24" r="1.9" fill="#fff" />
		</svg>
	)
}
