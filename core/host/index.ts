// From a folder on disk to a running plugin.

export { discoverPlugins, type Candidate, type Discovery, type Skipped } from './discover.ts'
export { validatePlugins, type Validation } from './validate.ts'
export { InvalidPlugins, type Problem } from './problem.ts'
export { importPlugin, registerBulkhead } from './modules.ts'
export { PluginImportFailed } from './import-failure.ts'
export { loadDefinitions, type LoadedPlugin } from './definition.ts'
export { createContainer, type Container, type ResourceFactories } from './scope.ts'
export { ScopeEnded } from './fence.ts'
export { createPluginUnits, PluginStartFailed, type MountedPlugin, type PluginParts } from './unit.ts'
