import '@shared/styles/mantine.css'
import 'virtual:theme-variables.css'
import '@shared/styles/base.css'

import { createRoot } from 'react-dom/client'

import { App } from './App'
import { begin } from './app'

begin()
createRoot(document.getElementById('root')!).render(<App />)
