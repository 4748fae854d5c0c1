// The kernel decides in which order and within which time units start and stop. It knows no outside system; the clock is passed in.

export type { HealthCheck, Opened, Recovery, StartContext, UndoStep, UnitDefinition, UnitKind } from './unit-definition.ts'
export { asError, describe, Disabled, UnitHeld, InvalidUnits, NotReplaced, Replaced, RequiredUnitFailed, StartStopped } from './kernel-error.ts'
export type { Kernel, KernelParts, RootKernel, UnitSnapshot } from './kernel-api.ts'
export { renderStartReport, renderStopReport, type StartReport, type StopReport, type UnitSpan, type UnitStopReport } from './report.ts'
export { moves, type State } from './state.ts'
export { createKernel } from './kernel.ts'
export type { StepReport } from './undo.ts'
export type { Change } from './unit-record.ts'
export { defineUnit, findGiven, type Given, type Needs } from './typed-unit.ts'
