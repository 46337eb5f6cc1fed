// The look: colours, sizes, defaults of the components.

import { createTheme, rem, type MantineColorsTuple } from '@mantine/core'

const ink: MantineColorsTuple = [
	'#eef2fd', '#dbe4fb', '#b8c9f6', '#93acf0', '#7491e9', '#5d7fe3', '#4469d6', '#3558bf', '#2b49a1', '#203a85',
]
const dark: MantineColorsTuple = [
	'#dde1ea', '#b9c0ce', '#97a1b4', '#6b7588', '#3a4354', '#2f3747', '#232a38', '#191f2b', '#12171f', '#0c1017',
]

export const theme = createTheme({
	colors: { ink, dark },
	primaryColor: 'ink',
	primaryShade: { light: 7, dark: 6 },
	autoContrast: true,
	cursorType: 'pointer',
	defaultRadius: 'md',
	fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
	fontFamilyMonospace: 'ui-monospace, SFMono-Regular, "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace',
	headings: { fontWeight: '600', sizes: { h1: { fontSize: rem(24) }, h2: { fontSize: rem(17) } } },
	components: {
		// The locks write a <style> element, which the content security policy refuses; the style
		// sheet does their work (base.css).
		ModalRoot: { defaultProps: { lockScroll: false, centered: true, radius: 'lg' } },
		DrawerRoot: { defaultProps: { lockScroll: false, position: 'right' } },
		Menu: { defaultProps: { position: 'bottom-end', shadow: 'md', withinPortal: true } },
		Tooltip: { defaultProps: { multiline: true, maw: 320, withArrow: true, events: { hover: true, focus: true, touch: true } } },
	},
})
