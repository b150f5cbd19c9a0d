export type * from './api.js';
export type * from './types.js';
export { ProblemError } from './api.js';
export { dataOf } from './types.js';
export { connect } from './connect.js';
