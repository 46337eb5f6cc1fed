import '@shared/styles/mantine.css'
import 'virtual:theme-variables.css'

import { createRoot } from 'react-dom/client'

createRoot(document.getElementById('root')!).render(<p>StartTunnel</p>)
