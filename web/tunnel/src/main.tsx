import '@shared/styles/mantine.css'
import 'virtual:theme-variables.css'
import '@shared/styles/base.css'

import { createRoot } from 'react-dom/client'

import './boot'
import { App, preload } from './App'
import { begin } from './app'

/** How wide the window's scroll bar is; base.css keeps its place free while a dialog hides it. */
const measureScrollBar = () => {
	const width = window.innerWidth - document.documentElement.clientWidth
	if (width > 0) document.documentElement.style.setProperty('--scroll-bar', `${width}px`)
}
measureScrollBar()
window.addEventListener('resize', measureScrollBar)

begin()
preload()
createRoot(document.getElementById('root')!).render(<App />)
